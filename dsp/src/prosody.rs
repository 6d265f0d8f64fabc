//! Prosody: pitch, rate and energy of speech, for whoever classifies its mood.
