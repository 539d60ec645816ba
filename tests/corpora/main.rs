//! Every file of every corpus in testdata/corpora, through the function that its fuzzer drives. What a fuzzer once found
//! is found again on a stable compiler, on every run.

// The helpers are shared with programs that are no tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod seeds;
mod targets;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpora")
}

/// Files of a corpus, sorted; more than 60 are too many to keep an eye on.
fn files(target: &str) -> Vec<PathBuf> {
    let folder = corpora().join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!((5..=60).contains(&files.len()), "{} files in {}", files.len(), folder.display());
    files
}

fn replay(target: &str) {
    let (_, run) = targets::TARGETS.into_iter().find(|(name, _)| *name == target).expect("a target");
    for file in files(target) {
        let octets = std::fs::read(&file).unwrap();
        assert!(catch_unwind(|| run(&octets)).is_ok(), "{} fails", file.display());
    }
}

#[test]
fn question() {
    replay("question");
}

#[test]
fn update() {
    replay("update");
}

#[test]
fn tsig() {
    replay("tsig");
}

#[test]
fn edns() {
    replay("edns");
}

#[test]
fn zonefile() {
    replay("zonefile");
}

/// A target without a corpus, or a corpus without a target, would go unnoticed.
#[test]
fn every_target_has_its_corpus_and_its_fuzzer() {
    let mut named: Vec<_> = targets::TARGETS.map(|(name, _)| name.to_owned()).into();
    named.sort();
    let folder = corpora();
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, named);
    for name in named {
        let fuzzer = format!("fuzz/fuzz_targets/{name}.rs");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&fuzzer).is_file(), "{fuzzer}");
    }
}

/// Seeds reach what they were made for; without this a change of the fixture could turn all of them into refusals. With
/// `WRITE_SEEDS` in the environment they are written anew first, beside what fuzzers found.
#[test]
fn seeds_do_what_they_are_for() {
    if std::env::var_os("WRITE_SEEDS").is_some() {
        for (target, name, octets) in seeds::all() {
            let folder = corpora().join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("seed-{name}")), octets).unwrap();
        }
    }
    seeds::check();
}
