//! What an interpreter has compiled is there for the next one, and is nobody else's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{MODELS, job};
use crate::support::Ran;

/// A run of one task that keeps what it has compiled below this folder; it has to be right.
fn run(model: &str, cache: &Path) -> Ran {
    let rest = format!("model = '{model}'\n[inputs]\nvalues = [20]\n[limits]\nconcurrency = 1");
    job("def work(x): return x + 1", &rest).env("XDG_CACHE_HOME", cache.to_str().unwrap()).run()
}

/// The only file there, with the folder that it is in.
fn kept(cache: &Path) -> PathBuf {
    let files: Vec<_> =
        fs::read_dir(cache.join("runner")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Puts code there that ends the interpreter.
fn poison(file: &Path) {
    let script = "
import _imp, marshal, sys
from importlib.util import MAGIC_NUMBER
version = int.from_bytes(MAGIC_NUMBER, 'little')
code = marshal.dumps(compile('raise SystemExit(\"this was kept\")', 'kept', 'exec'))
data = marshal.dumps({'main': code})
open(sys.argv[1], 'wb').write(_imp.source_hash(version, data) + data)";
    let status = Command::new("python3").args(["-c", script]).arg(file).status().unwrap();
    assert!(status.success());
}

#[test]
fn it_is_kept_for_its_user_alone_and_written_once() {
    for model in MODELS {
        let cache = tempfile::tempdir().unwrap();
        run(model, cache.path()).exit(0).rows("result", &["21"]);
        let file = kept(cache.path());
        let about = fs::metadata(&file).unwrap();
        assert_eq!(about.mode() & 0o777, 0o600, "{model}");
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700, "{model}");
        run(model, cache.path()).exit(0).rows("result", &["21"]);
        let now = fs::metadata(kept(cache.path())).unwrap();
        assert_eq!((about.ino(), about.len()), (now.ino(), now.len()), "{model}");
    }
}

#[test]
fn what_was_kept_is_used_unless_somebody_else_could_have_written_it() {
    let cache = tempfile::tempdir().unwrap();
    let model = "sequential";
    run(model, cache.path()).exit(0);
    let file = kept(cache.path());
    poison(&file);
    run(model, cache.path()).exit(2).stderr_has("this was kept");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    run(model, cache.path()).exit(0).rows("result", &["21"]);
    let elsewhere = cache.path().join("elsewhere");
    poison(&elsewhere);
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    run(model, cache.path()).exit(0).rows("result", &["21"]);
}

#[test]
fn what_is_broken_there_is_made_anew() {
    let cache = tempfile::tempdir().unwrap();
    run("sequential", cache.path()).exit(0);
    let file = kept(cache.path());
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    for broken in
        [&good[..0], &good[..8], &good[..good.len() - 1], &changed, b"nothing of the kind"]
    {
        fs::write(&file, broken).unwrap();
        run("sequential", cache.path()).exit(0).rows("result", &["21"]);
        assert!(fs::read(kept(cache.path())).unwrap().len() > good.len() / 2);
    }
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    run("sequential", cache.path()).exit(0).rows("result", &["21"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    run("sequential", cache.path()).exit(0).rows("result", &["21"]);
    assert_eq!(kept(cache.path()), file, "nothing else is left there");
}

#[test]
fn nothing_of_others_is_removed_and_no_home_is_made() {
    let cache = tempfile::tempdir().unwrap();
    run("sequential", cache.path()).exit(0);
    let file = kept(cache.path());
    let folder = file.parent().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let old = format!("0123456789abcdef{}", &name[16..]);
    for other in ["my.code-workspace", "x.code.txt", &old] {
        let made = fs::File::create(folder.join(other)).unwrap();
        made.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    fs::remove_file(&file).unwrap();
    run("sequential", cache.path()).exit(0);
    let left = |name: &str| folder.join(name).exists();
    assert!(left(name) && left("my.code-workspace") && left("x.code.txt") && !left(&old));
    let home = cache.path().join("home");
    let job = job("def work(x): return x + 1", "[inputs]\nvalues = [20]");
    job.env("XDG_CACHE_HOME", "").env("HOME", home.to_str().unwrap()).run().exit(0);
    assert!(!home.exists());
}

#[test]
fn where_nothing_can_be_kept_nothing_is_missed() {
    for model in MODELS {
        run(model, Path::new("/proc/nowhere")).exit(0).rows("result", &["21"]);
        run(model, Path::new("/dev/null")).exit(0).rows("result", &["21"]);
        let rest = format!("model = '{model}'\n[inputs]\nvalues = [20]");
        let homeless = job("def work(x): return x + 1", &rest);
        let ran = homeless.env("XDG_CACHE_HOME", "relative").env("HOME", "").run();
        assert!(!ran.path("relative").exists(), "{model}");
        ran.exit(0).rows("result", &["21"]);
    }
}
