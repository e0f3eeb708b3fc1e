//! The commands, one file each.

pub(crate) mod list;
pub(crate) mod pack;

use tranship_terminal::Terminal;

use crate::finding::Finding;

/// Says what is broken, each with the images that it breaks.
fn show(findings: &[Finding], terminal: Terminal) {
    for finding in findings {
        terminal.broken(&format!("broken: {finding}"), &finding.images);
    }
}
