//! Linux 3.10, the kernel of CentOS 7, as far as a program can tell by its system calls.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use libc::{EISDIR, ENOSYS, O_TMPFILE, SYS_openat, c_int};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::programs::{self, Finished, Run};

/// The first system call that came after 3.10, `sched_setattr`. Later ones have higher numbers:
/// `getrandom`, `copy_file_range`, `statx`, `openat2` and all that are to come.
const FIRST_MISSING: i64 = libc::SYS_sched_setattr;

/// As far as the numbers go in 2026, and further (they have passed 470).
const LAST_MISSING: i64 = 1000;

/// Runs a program to its end on an old kernel. Only it, and what it starts, is there: a thread of the
/// tests cannot go there for long, since its GLIBC relies on what it found when it started.
#[track_caller]
pub fn on_old_kernel(command: &mut Command) -> Finished {
    let child = thread::scope(|scope| {
        let old = scope.spawn(|| {
            // The other way round it could not be installed: `seccomp` is younger too.
            apply_filter(&unnamed_files()).expect("a filter can be installed");
            apply_filter(&missing_calls()).expect("a filter can be installed");
            command.start()
        });
        old.join().expect("a program can be started")
    });
    programs::wait(child)
}

/// What is not there yet.
fn missing_calls() -> BpfProgram {
    filter((FIRST_MISSING..=LAST_MISSING).map(|call| (call, Vec::new())).collect(), ENOSYS)
}

/// A flag that came with 3.11 for files without a name: before, the call opened the folder.
fn unnamed_files() -> BpfProgram {
    let flag = u64::from(O_TMPFILE.unsigned_abs());
    let (size, holds) = (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag));
    let condition =
        SeccompCondition::new(2, size, holds, flag).expect("openat has a third argument");
    let rule = SeccompRule::new(vec![condition]).expect("a rule has a condition");
    filter(BTreeMap::from([(SYS_openat, vec![rule])]), EISDIR)
}

fn filter(calls: BTreeMap<i64, Vec<SeccompRule>>, error: c_int) -> BpfProgram {
    let machine = std::env::consts::ARCH.try_into().expect("a machine that has filters");
    let refused = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refused, machine);
    filter.and_then(BpfProgram::try_from).expect("a filter that fits into the kernel")
}
