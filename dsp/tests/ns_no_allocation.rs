//! Noise suppression allocates when a call comes, and never for a frame.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod ns_sound;

use ns_sound::noise;
use trunkline_allocations::allocations;
use trunkline_dsp::NoiseBank;
use trunkline_dsp::ns::{Gate, LanesBank, NnnoiselessBank, SonoraBank};

#[test]
fn no_bank_allocates_for_a_frame() {
    let banks: [(&str, Box<dyn NoiseBank>); 3] = [
        ("lanes", Box::new(LanesBank::new(12).with_gate(Gate::Open))),
        ("nnnoiseless", Box::new(NnnoiselessBank::new(12).with_gate(Gate::Open))),
        ("sonora", Box::new(SonoraBank::new(12).with_gate(Gate::Open))),
    ];
    for (name, mut bank) in banks {
        let slots: Vec<_> = (0..10).map(|call| bank.attach([8000, 16000][call % 2]).unwrap()).collect();
        let mut frames: Vec<_> = (0..10).map(|call| noise([160, 320][call % 2], 0.1, call as u64)).collect();
        for absent in 0..5 {
            let mut batch: Vec<_> =
                slots.iter().copied().zip(frames.iter_mut().map(|frame| &mut frame[..])).skip(absent).collect();
            assert_eq!(allocations(|| bank.process(&mut batch)), 0, "{name}");
        }
    }
}

#[test]
fn lanes_with_room_reserved_allocate_for_no_call_either() {
    let mut bank = LanesBank::new(40);
    bank.reserve(16000, 16);
    let mut slots = Vec::with_capacity(40);
    let count = allocations(|| {
        for call in 0..30 {
            slots.push(bank.attach([8000, 16000][call % 2]).unwrap());
        }
        for slot in slots.drain(..) {
            bank.detach(slot);
        }
    });
    assert_eq!(count, 0);
}
