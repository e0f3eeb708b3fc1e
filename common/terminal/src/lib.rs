//! What a person sees of packer and loader, and how the programs end.
//!
//! [`Verbosity`] holds the options that both programs take, [`Terminal`] is what follows from
//! them, [`Exit`] the meaning of the exit codes. Results go to standard output; progress, messages
//! and errors to standard error, each line as it can be shown. Nothing else in the project prints.

mod exit;
mod generate;
mod images;
mod printable;
mod progress;
mod report_file;
mod terminal;

pub use exit::{Exit, finish};
pub use generate::Generate;
pub use images::{ListedImage, list};
pub use printable::{json, printable};
pub use report_file::ReportFile;
pub use terminal::{Terminal, Verbosity, quantity};
