//! Spectra: eight bands and noise floor of a frame by a vectorised transform.
