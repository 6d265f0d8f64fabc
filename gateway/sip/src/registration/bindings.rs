//! Several bindings of one address: while one of them is there, calls come.

use super::config::RegistrationConfig;
use super::machine::{Registration, RegistrationState};
use crate::draw::Draw;

/// Most bindings of an address.
const MOST: u32 = 4;

/// Bindings of one address.
#[derive(Debug)]
pub struct Bindings(Vec<Registration>);

impl Bindings {
    /// As many bindings as `flows` says, 1 to 4, each beginning with another registrar. Several need an `instance` to be
    /// told apart by: without one there is one binding.
    #[must_use]
    pub fn new(config: &RegistrationConfig, flows: u32, draw: &mut Draw) -> Self {
        let flows = if config.instance.is_some() { flows.clamp(1, MOST) } else { 1 };
        let seed = |draw: &mut Draw| {
            let mut seed = [0; 32];
            seed[..16].copy_from_slice(&draw.bytes());
            seed[16..].copy_from_slice(&draw.bytes());
            Draw::new(&seed)
        };
        Self((0..flows).map(|flow| Registration::new(config.clone(), flow, seed(draw))).collect())
    }

    /// Each of them.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Registration> {
        self.0.iter_mut()
    }

    /// Whether calls come by any of them.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.iter().any(|binding| binding.state() == RegistrationState::Registered)
    }

    /// Whether all are over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.iter().all(|binding| binding.state() == RegistrationState::Ended)
    }

    /// When one of them wants to be asked next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.0.iter().filter_map(Registration::poll_timeout).min()
    }
}
