//! Old kernels: where a system call is missing, the programs do the same without it.

use std::fs::{self, File};
use std::process::Command;

use e2e::content::Family;
use e2e::kernel::on_old_kernel;
use e2e::programs::{Run, loader, packer};
use e2e::registry::Options;
use e2e::tls::Certificates;
use e2e::tree::digest_of;
use e2e::{Bundle, Registry, Tree};

#[test]
fn the_old_kernel_lacks_what_is_new_and_has_what_is_old() {
    // pidfd_open, clone3 and openat2 have these numbers on every machine.
    let script = "use Fcntl; use POSIX;
        for (434, 435, 437) { syscall($_, 0, 0, 0, 0); print POSIX::strerror($!), '; ' }
        sysopen(my $file, '.', O_RDWR | 020200000); print POSIX::strerror($!), '; ';
        print getppid() > 0 ? 'old' : 'none';";
    let said = on_old_kernel(Command::new("perl").args(["-e", script]));
    let missing = "Function not implemented; ".repeat(3);
    assert_eq!(said.ok().stdout, format!("{missing}Is a directory; old"));
}

#[test]
fn packer_packs_the_same_bytes_there() {
    let bundle = Bundle::everything(7);
    let storage = bundle.tree.root();
    let mut list = packer();
    list.args(["list", "--storage"]).arg(storage);
    assert_eq!(on_old_kernel(&mut list).ok().stdout, list.run().ok().stdout);

    let old = bundle.file("old.tar");
    let mut pack = packer();
    pack.args(["pack", "--storage"]).arg(storage).arg("--output").arg(&old);
    on_old_kernel(&mut pack).ok().prints("packed 18 tags of 13 repositories");
    assert!(fs::read(old).unwrap() == fs::read(bundle.path()).unwrap());
}

#[test]
fn loader_reads_a_bundle_there() {
    let bundle = Bundle::everything(8);
    for command in ["verify", "list"] {
        let mut read = loader();
        read.arg(command).arg(bundle.path());
        assert_eq!(on_old_kernel(&mut read).ok().stdout, read.run().ok().stdout);
    }
}

#[test]
fn loader_loads_there_from_a_pipe_through_tls() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 9);
        // Too much to be kept in memory.
        let layer = tree.layer(Family::Oci, 4_000_000);
        let image = tree.image("team/image", Family::Oci, "1", &[layer]);
        tree.tag("team/image", "1", digest_of(&image));
        tree
    });
    let certificates = Certificates::new();
    let target =
        Registry::with(&Options { certificates: Some(&certificates), ..Options::default() });
    let mut load = loader();
    load.args(["load", "-", "--to", &target.url(), "--ca-file"]).arg(certificates.file("ca.pem"));
    load.stdin(File::open(bundle.path()).unwrap());
    on_old_kernel(&mut load).ok().prints("1 image loaded, 0 already there, 0 failed");
}
