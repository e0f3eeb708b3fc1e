//! Decides what a load is to do, and in which order. Sends nothing but questions.

pub(crate) mod estimate;
mod lanes;
#[cfg(test)]
pub(crate) mod made_up;
pub(crate) mod mapping;
pub(crate) mod rules;
mod subjects;
pub(crate) mod survey;
pub(crate) mod work;
