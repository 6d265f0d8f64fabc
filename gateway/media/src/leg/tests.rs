//! Rules of a leg, packet by packet and tick by tick.
