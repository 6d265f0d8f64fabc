//! Knowledge bases: texts cut into passages and an index of their words, in memory, for whoever answers
//! [`crate::Command::Lookup`]. Built from text alone; where it comes from is the driver's business.

mod index;
mod passages;

pub use index::{KnowledgeBase, MAX_PASSAGES};
pub use passages::{MAX_PASSAGE_BYTES, cut};
