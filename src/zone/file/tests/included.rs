//! `$INCLUDE`, on real files.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A directory of zones, with one beside it that nothing in it may lead to.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    /// With files as path and text; `HEAD` is put before the zone file's.
    fn of(zone_file: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("zones/sub/deep")).unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        fs::write(dir.path().join("zones/z"), format!("{HEAD}{zone_file}")).unwrap();
        fs::write(dir.path().join("other/secret"), "x TXT \"of somebody else\"\n").unwrap();
        for (path, text) in files {
            fs::write(dir.path().join("zones").join(path), text).unwrap();
        }
        Site { dir }
    }

    fn read(&self) -> Result<ZoneRecords, String> {
        let zones = self.dir.path().join("zones");
        let read = read(&zones.join("z"), &apex(), &mut |_| ());
        read.map_err(|error| error.to_string().replace(&format!("{}/", zones.display()), ""))
    }

    /// The records behind those of `HEAD`: owner, type, TTL, file and line.
    fn records(&self) -> Vec<String> {
        let zone = self.read().unwrap();
        let records = zone.records.iter().skip(2).map(|record| {
            let StaticRecord { owner, rtype, ttl_s, line, .. } = record;
            let file = zone.path(record).strip_prefix(self.dir.path().join("zones")).unwrap();
            format!("{owner} {rtype} {ttl_s} {}:{line}", file.display())
        });
        records.collect()
    }
}

#[test]
fn origin_and_owner_are_the_including_files_again_and_ttl_is_not() {
    let site = Site::of(
        "x A 10.0.0.1\n$INCLUDE one inner\n TXT x\n$INCLUDE \"sub/t\\119o\" ; c\ny A 10.0.0.1\n$INCLUDE sub/two deeper\n",
        &[
            (
                "one",
                " TXT of-x\na A 10.0.0.1\n$ORIGIN far.pool.example.\na A 10.0.0.1\n$TTL 5\n@ A 10.0.0.1\n",
            ),
            // Files are named from the directory of the zone file.
            ("sub/two", "b A 10.0.0.1\n$INCLUDE sub/deep/three @\n"),
            ("sub/deep/three", "c A 10.0.0.1"),
        ],
    );
    assert_eq!(
        site.records(),
        [
            "x.pool.example A 60 z:8",
            "x.pool.example TXT 5 one:1",
            "a.inner.pool.example A 60 one:2",
            "a.far.pool.example A 60 one:4",
            "far.pool.example A 5 one:6",
            "x.pool.example TXT 5 z:10",
            "b.pool.example A 5 sub/two:1",
            "c.pool.example A 5 sub/deep/three:1",
            "y.pool.example A 5 z:12",
            "b.deeper.pool.example A 5 sub/two:1",
            "c.deeper.pool.example A 5 sub/deep/three:1",
        ]
    );
    let files = site.read().unwrap().files;
    assert_eq!(files.len(), 6, "one that is read twice is there twice");
}

#[test]
fn errors_name_the_file_and_who_included_it() {
    let site = Site::of("$INCLUDE one\n", &[("one", "\n$INCLUDE sub/two\n"), ("sub/two", "x A nonsense\n")]);
    let wanted = "sub/two:1:5: \"nonsense\": expected IPv4 address; write A ADDRESS\n  1 | x A nonsense\n    |     ^^^^^^^^\n  \
                  included from one:2\n  included from z:8";
    assert_eq!(site.read().unwrap_err(), wanted);

    // What is found when all have been read.
    let site = Site::of("x A 10.0.0.1\n$INCLUDE one\nx 5 TXT b\n", &[("one", "\nx 6 TXT a\nx CNAME y\n")]);
    let found = site.read().unwrap_err();
    assert!(
        found.starts_with("one:3:1: a CNAME stands alone, and x.pool.example. has another record at "),
        "{found}"
    );
    assert!(found.contains("at z:8; remove one\n") && found.ends_with("\n  included from z:9"), "{found}");

    let site = Site::of("$INCLUDE one\nx 5 TXT b\n", &[("one", "x 6 TXT a\n")]);
    let warnings = site.read().unwrap().warnings;
    let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].ends_with(
            "zones/z:9: warning: x.pool.example. TXT has several TTLs; 5, the smallest, is served"
        )
    );
}

#[test]
fn errors_know_the_files_that_may_mend_them() {
    for (zone_file, wanted) in [
        ("$INCLUDE one\nx A bad\n", &["z", "one"][..]),
        ("$INCLUDE two\n$INCLUDE one\n", &["z", "two"]),
        ("$INCLUDE one\n$INCLUDE sub/missing\n", &["z", "one", "sub/missing"]),
        ("$INCLUDE one\na CNAME b\n", &["z", "one"]),
    ] {
        let site = Site::of(zone_file, &[("one", "a A 10.0.0.1\n"), ("two", "a A bad\n")]);
        let zones = site.dir.path().join("zones");
        let error = read(&zones.join("z"), &apex(), &mut |_| ()).unwrap_err();
        let files: Vec<_> = error.files().iter().map(|file| file.strip_prefix(&zones).unwrap()).collect();
        assert_eq!(files, wanted.iter().map(Path::new).collect::<Vec<_>>(), "{zone_file}");
    }
}

#[test]
fn no_file_elsewhere_is_read() {
    let secret = "secret";
    let absolute = |site: &Site| site.dir.path().join("other").join(secret).display().to_string();
    for file in [
        "../other/secret",
        "sub/../../other/secret",
        "sub/../one",
        "/etc/hostname",
        "link",
        "sub/up/other/secret",
    ] {
        let site = Site::of(&format!("$INCLUDE {file}\n"), &[("one", "")]);
        symlink(absolute(&site), site.dir.path().join("zones/link")).unwrap();
        symlink(site.dir.path(), site.dir.path().join("zones/sub/up")).unwrap();
        let found = site.read().unwrap_err();
        let wanted = format!("z:8:10: {file} is not below the directory of the zone file");
        assert!(found.starts_with(&wanted) && !found.contains("somebody"), "{found}");
    }
    // Links that stay below it are followed, and so is an absolute path.
    let site = Site::of("$INCLUDE link\n", &[("sub/one", "a A 10.0.0.1\n")]);
    symlink("sub/one", site.dir.path().join("zones/link")).unwrap();
    assert_eq!(site.records(), ["a.pool.example A 60 link:1"]);
    let one = site.dir.path().join("zones/sub/one");
    fs::write(site.dir.path().join("zones/z"), format!("{HEAD}$INCLUDE {}\n", one.display())).unwrap();
    assert_eq!(site.records(), ["a.pool.example A 60 sub/one:1"]);
}

/// The directory of the zone file is where that really is.
#[test]
fn a_zone_file_may_be_a_link() {
    let site = Site::of("", &[("sub/z", &format!("{HEAD}$INCLUDE one\n")), ("sub/one", "a A 10.0.0.1\n")]);
    fs::remove_file(site.dir.path().join("zones/z")).unwrap();
    symlink("sub/z", site.dir.path().join("zones/z")).unwrap();
    let zone = site.read().unwrap();
    assert_eq!(zone.records.len(), 3);
    // What it includes is told where it can be read again.
    let one = zone.files.get(1).unwrap();
    assert_eq!(fs::read_to_string(one).unwrap(), "a A 10.0.0.1\n", "{}", one.display());
}

#[test]
fn what_cannot_be_read_is_named() {
    for (file, wanted) in [
        ("missing", "missing: No such file or directory"),
        ("sub", "sub: this is no file"),
        ("z", "z would include itself"),
        ("one", "z would include itself"),
        ("sub/./../z", "sub/./../z is not below"),
    ] {
        let site = Site::of(&format!("$INCLUDE {file}\n"), &[("one", "$INCLUDE z\n")]);
        let found = site.read().unwrap_err();
        assert!(found.contains(wanted), "{found}");
    }
}

#[test]
fn depth_count_and_size_have_an_end() {
    let chain = |depth: usize| {
        let names: Vec<_> = (0..=depth).map(|file| format!("f{file}")).collect();
        let texts: Vec<_> = (0..depth).map(|file| format!("$INCLUDE f{}\n", file + 1)).collect();
        let files: Vec<_> = names
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(String::as_str).chain(["a A 10.0.0.1\n"]))
            .collect();
        Site::of("$INCLUDE f0\n", &files)
    };
    assert_eq!(chain(15).records().len(), 1, "16 files below the zone file");
    let found = chain(16).read().unwrap_err();
    assert!(found.starts_with("f15:1:10: $INCLUDE 16 deep"), "{found}");
    assert_eq!(found.matches("included from").count(), 16);

    let site = Site::of(&"$INCLUDE one\n".repeat(4_096), &[("one", "a A 10.0.0.1\n")]);
    assert_eq!(site.records().len(), 1);
    let site = Site::of(&"$INCLUDE one\n".repeat(4_097), &[("one", "")]);
    let found = site.read().unwrap_err();
    assert!(found.starts_with("z:4104:10: more than 4096 times $INCLUDE"), "{found}");

    // Files with a hole of that size take no room, and are not read.
    let site = Site::of("$INCLUDE one\n", &[("one", "")]);
    fs::File::options()
        .write(true)
        .open(site.dir.path().join("zones/one"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let found = site.read().unwrap_err();
    assert!(
        found.starts_with("z:8:10: the zone's files, and what $GENERATE makes, have more than 1073741824"),
        "{found}"
    );
    fs::File::options()
        .write(true)
        .open(site.dir.path().join("zones/z"))
        .unwrap()
        .set_len((1 << 30) + 1)
        .unwrap();
    let found = site.read().unwrap_err();
    assert!(
        found.starts_with("z: the zone's files, and what $GENERATE makes, have more than 1073741824"),
        "{found}"
    );
}
