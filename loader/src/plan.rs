//! Decides what a load is to do, and in which order. Sends nothing.

pub(crate) mod estimate;
mod lanes;
pub(crate) mod mapping;
mod subjects;
pub(crate) mod survey;
pub(crate) mod work;
