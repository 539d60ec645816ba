//! The interop table of docs/testing.md: what it says is what a test shows, and what a test shows of a client it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Modules of which every test has its row.
const WHOLE: [&str; 11] = [
    "browsing",
    "certbot",
    "dnspython",
    "drill",
    "kea",
    "knsupdate",
    "nsupdate",
    "shares",
    "transport",
    "unbound",
    "zonefiles",
];

/// Module and name of each test in the table's last column, in its order.
fn rows() -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| client |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let test = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let test =
            (cells.len() == 4).then(|| cells[3].strip_prefix('`')?.strip_suffix('`')?.split_once("::"));
        let (module, name) =
            test.flatten().unwrap_or_else(|| panic!("no client, deed, result and test: {row}"));
        (module.to_owned(), name.to_owned())
    };
    rows.map(test).collect()
}

/// The tests of a module here.
fn tests(module: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/interop/{module}.rs"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<_> = text.lines().collect();
    let after = lines.windows(2).filter(|pair| pair[0] == "#[test]").map(|pair| pair[1]);
    after.map(|line| line.trim_start_matches("fn ").split('(').next().unwrap().to_owned()).collect()
}

#[test]
fn every_row_names_a_test_and_every_test_of_a_client_has_a_row() {
    let rows = rows();
    assert!(rows.len() > WHOLE.len(), "{rows:?}");
    for (module, name) in &rows {
        assert!(
            tests(module).contains(name),
            "docs/testing.md names {module}::{name}: there is no such test"
        );
    }
    for module in WHOLE {
        let named: BTreeSet<_> =
            rows.iter().filter(|(of, _)| of == module).map(|(_, name)| name.clone()).collect();
        assert_eq!(named, tests(module), "tests of {module}.rs, and those that docs/testing.md names");
    }
}
