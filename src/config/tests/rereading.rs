//! Files that change under a running server: what is read again, what stays, and what is said of it, once.

use super::*;

struct Site {
    dir: tempfile::TempDir,
    reader: Reader,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let (dir, config) = load_files(files);
        config.unwrap();
        let file = dir.path().join("rollcall.toml");
        let home = |_: &str| Some("/home/u".into());
        let reader = Reader::start_with(Some(&file), Overrides::default(), &home, &mut |_| ());
        Site { reader: reader.unwrap().0, dir }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.dir.path().join(from), self.dir.path().join(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    /// What a move in the directory brings, in short.
    fn moved(&mut self) -> Vec<String> {
        self.read(Asked::ByWatching)
    }

    /// What SIGHUP brings.
    fn asked(&mut self) -> Vec<String> {
        self.read(Asked::Explicitly)
    }

    fn read(&mut self, asked: Asked) -> Vec<String> {
        let short = |path: &Path| path.strip_prefix(self.dir.path()).unwrap().display().to_string();
        let reread = match self.reader.read_again(asked) {
            Ok(reread) => reread,
            Err(error) => return vec![format!("nothing: {error}")],
        };
        let mut said: Vec<_> = reread.zones.iter().map(|zone| zone.settings.apex.to_string()).collect();
        said.extend(reread.unloaded.iter().map(|apex| format!("-{apex}")));
        said.extend(reread.keyring.iter().map(|ring| format!("keys {}", ring.names().len())));
        said.extend(reread.missing.iter().map(|path| format!("missing {}", short(path))));
        said.extend(reread.waiting.iter().map(|key| format!("waiting {key}")));
        let root = format!("{}/", self.dir.path().display());
        said.extend(
            reread.errors.iter().map(|error| {
                error.to_string().replace(&root, "").lines().next().unwrap_or_default().to_owned()
            }),
        );
        said
    }
}

const NOTHING: &[String] = &[];

fn two_zones() -> Site {
    Site::new(&[
        ("rollcall.toml", KEY),
        ("zones/a.example.zone", ZONE),
        ("zones/a.example.toml", "ttl = 4\n"),
        ("zones/b.example.zone", ZONE),
    ])
}

fn zone_with(more: &str) -> String {
    format!("{ZONE}{more}\n")
}

#[test]
fn what_has_changed_is_read_and_nothing_else() {
    let mut site = two_zones();
    assert_eq!(site.moved(), NOTHING);
    assert_eq!(site.asked(), NOTHING);
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    assert_eq!(site.moved(), ["a.example"]);
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/a.example.toml", "ttl = 30\n");
    assert_eq!(site.asked(), ["a.example"]);
    site.write("zones/b.example.toml", "ttl = 30\n");
    assert_eq!(site.moved(), ["b.example"], "a file that was not there");
}

/// As programs copy that keep times, into a file of the same size.
#[test]
fn a_file_that_is_written_and_has_its_old_time_set_again_has_changed() {
    let mut site = two_zones();
    let file = site.dir.path().join("zones/a.example.zone");
    let modified = || std::fs::metadata(&file).unwrap().modified().unwrap();
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    let before = modified();
    assert_eq!(site.moved(), ["a.example"]);
    // The kernel's clock for files ticks every few milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.3"));
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
    assert_eq!(modified(), before);
    assert_eq!(site.moved(), ["a.example"]);
}

#[test]
fn a_bad_file_is_told_once_and_again_when_somebody_asks() {
    let mut site = two_zones();
    site.write("zones/a.example.zone", &zone_with("www A nonsense"));
    site.write("zones/b.example.zone", &zone_with("www A 192.0.2.2"));
    let said = site.moved();
    assert!(
        said.len() == 2 && said[0] == "b.example" && said[1].starts_with("zones/a.example.zone:4"),
        "{said:?}"
    );
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/b.example.zone", &zone_with("www A 192.0.2.200"));
    assert_eq!(site.moved(), ["b.example"], "nobody waits for it");
    let said = site.asked();
    assert!(said.len() == 1 && said[0].starts_with("zones/a.example.zone:4"), "{said:?}");
    // Another comment, and the error is the same.
    site.write("zones/a.example.zone", &zone_with("www A nonsense\n; more"));
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/a.example.zone", &zone_with("\nwww A nonsense"));
    assert!(site.moved()[0].starts_with("zones/a.example.zone:5"));
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.3"));
    assert_eq!(site.moved(), ["a.example"]);
}

#[test]
fn a_policy_that_an_option_contradicts_is_told_once_and_changes_nothing() {
    let mut site = two_zones();
    let pool = |policy: &str| format!("[[pool]]\nname = 'web'\npolicy = '{policy}'\nload_half_life = 5\n");
    site.write("zones/a.example.toml", &pool("least-used"));
    assert_eq!(site.moved(), ["a.example"]);
    site.write("zones/a.example.toml", &pool("weighted-random"));
    site.write("zones/b.example.toml", "policy = 'priority'\n");
    let said = site.moved();
    let wanted = "zones/a.example.toml:4:18: `load_half_life` does nothing under weighted-random: ";
    assert!(said.len() == 2 && said[0] == "b.example" && said[1].starts_with(wanted), "{said:?}");
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/a.example.toml", &pool("randomized-least-used"));
    assert_eq!(site.moved(), ["a.example"]);
}

#[test]
fn what_is_gone_stays_until_somebody_asks() {
    let mut site = two_zones();
    site.remove("zones/a.example.zone");
    assert_eq!(site.moved(), ["missing zones/a.example.zone"]);
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    assert_eq!(site.moved(), ["a.example"]);
    site.remove("zones/b.example.zone");
    site.remove("zones/a.example.zone");
    site.remove("zones/a.example.toml");
    let gone =
        ["a.example.toml", "a.example.zone", "b.example.zone"].map(|file| format!("missing zones/{file}"));
    assert_eq!(site.moved(), gone);
    assert!(site.asked()[0].starts_with("nothing: no zone in "), "an empty directory is hardly meant");
    assert_eq!(site.moved(), NOTHING);
    site.write("zones/b.example.zone", ZONE);
    assert_eq!(site.asked(), ["b.example", "-a.example"]);
    assert_eq!(site.asked(), NOTHING);
}

#[test]
fn one_file_of_two_is_gone_for_good_when_somebody_asks() {
    let mut site = two_zones();
    site.remove("zones/a.example.toml");
    assert_eq!(site.moved(), ["missing zones/a.example.toml"]);
    assert_eq!(site.asked(), ["a.example"], "with the defaults");
}

#[test]
fn editors_come_and_go() {
    let mut site = two_zones();
    for name in [".a.example.zone.swp", "a.example.zone~", "#a.example.zone#", "4913", ".#b.example.zone"] {
        site.write(&format!("zones/{name}"), "nonsense");
        assert_eq!(site.moved(), NOTHING, "{name}");
    }
    // Written beside it and put in its place, as most of them do.
    site.write("zones/a.example.zone.new", &zone_with("www A 192.0.2.2"));
    site.rename("zones/a.example.zone", "zones/a.example.zone~");
    assert_eq!(site.moved(), ["missing zones/a.example.zone"], "had nobody waited until it is quiet");
    site.rename("zones/a.example.zone.new", "zones/a.example.zone");
    assert_eq!(site.moved(), ["a.example"]);
    // The old one comes back, as old as it is.
    site.rename("zones/a.example.zone~", "zones/a.example.zone");
    assert_eq!(site.moved(), ["a.example"]);
}

#[test]
fn zones_come_and_those_around_them_are_read_too() {
    let mut site = two_zones();
    site.write("zones/c.example.toml", "");
    assert_eq!(site.moved(), ["c.example"]);
    site.write("zones/sub.a.example.zone", ZONE);
    assert_eq!(site.moved(), ["a.example", "sub.a.example"]);
    site.remove("zones/sub.a.example.zone");
    assert_eq!(site.moved(), ["missing zones/sub.a.example.zone"]);
    assert_eq!(site.asked(), ["a.example", "-sub.a.example"]);
    site.write("zones/d.example.zone", "nonsense");
    assert!(site.moved()[0].starts_with("zones/d.example.zone:1"));
    assert_eq!(site.moved(), NOTHING);
    site.remove("zones/d.example.zone");
    assert_eq!(site.moved(), NOTHING, "it was never served");
    site.write("zones/sub.b.example.zone", "nonsense");
    assert_eq!(site.moved().len(), 2);
    assert_eq!(site.moved(), NOTHING, "a bad zone below does not have the one around it read for ever");
}

#[test]
fn keys_are_read_when_somebody_asks() {
    let mut site = two_zones();
    let grant = "[[grant]]\nkey = 'other'\npools = ['*']\naddresses = ['10.0.0.0/8']\n";
    let other = KEY.replace("web", "other");
    site.write("rollcall.toml", &format!("{KEY}{other}"));
    site.write("zones/b.example.toml", grant);
    let said = site.moved();
    assert!(said.len() == 1 && said[0].starts_with("zones/b.example.toml:2"), "{said:?}");
    assert_eq!(site.asked(), ["a.example", "b.example", "keys 2"], "every grant is for a key");
    assert_eq!(site.asked(), NOTHING);
    // A key that a grant is for cannot go.
    site.write("rollcall.toml", KEY);
    let said = site.asked();
    assert!(said.len() == 3 && said[..2] == ["a.example", "keys 1"] && said[2].contains(":2"), "{said:?}");
}

#[test]
fn what_a_start_decides_waits_for_one() {
    let mut site = two_zones();
    let text = "listen = ['127.0.0.1:5301']\nstate = 'elsewhere'\nzones = 'other'\n[udp]\nworkers = 7\n[tcp]\nidle_ms = 1234\n\
        [limits]\nmembers = 5\n[store]\ncache_bytes = 1048576\n";
    site.write("rollcall.toml", &format!("{text}{KEY}"));
    let keys = ["listen", "zones", "state", "[store]", "[udp]", "[tcp]", "[limits]"]
        .map(|key| format!("waiting {key}"));
    let said = site.asked();
    assert_eq!(said[..3], ["a.example", "b.example", "keys 1"]);
    assert_eq!(said[3..], keys);
}

#[test]
fn a_bad_rollcall_toml_changes_nothing() {
    let mut site = two_zones();
    site.write("rollcall.toml", "nonsense");
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    assert!(site.asked()[0].starts_with("nothing: "));
    assert!(site.asked()[0].starts_with("nothing: "), "asked again, told again");
    assert_eq!(site.moved(), ["a.example"]);
    site.write("rollcall.toml", KEY);
    assert_eq!(site.asked(), ["a.example", "b.example", "keys 1"]);
}

#[test]
fn a_file_whose_name_is_no_zones_is_told_once_and_holds_up_nobody() {
    let mut site = two_zones();
    site.write("zones/not..a.name.zone", "");
    site.write("zones/A.example.zone", &zone_with("www A 192.0.2.3"));
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    let said = site.moved();
    assert!(said.len() == 3 && said[0] == "A.example" && said[1].contains("same zone"), "{said:?}");
    assert!(
        said[2].starts_with("zones/not..a.name.zone: a zone's file is called after the zone"),
        "{said:?}"
    );
    assert_eq!(site.moved(), NOTHING);
    assert_eq!(site.asked().len(), 3, "the first of the two is served now");
    site.remove("zones/not..a.name.zone");
    site.remove("zones/A.example.zone");
    assert_eq!(site.moved(), ["missing zones/A.example.zone"]);
    assert_eq!(site.asked(), ["a.example"]);
}

#[test]
fn what_a_zone_file_includes_is_a_file_of_its_zone() {
    let zone = format!("{ZONE}$TTL 60\n$INCLUDE parts/a\n");
    let (other, bad) = ("x A 10.0.0.2\n", "x A 10.0.0.300\n");
    let mut site =
        Site::new(&[("rollcall.toml", ""), ("zones/a.example.zone", ZONE), ("zones/b.example.toml", "")]);
    std::fs::create_dir(site.dir.path().join("zones/parts")).unwrap();
    site.write("zones/parts/a", "x A 10.0.0.1\n");
    site.write("zones/a.example.zone", &zone);
    assert_eq!(site.moved(), ["a.example"]);
    assert_eq!(site.moved(), [""; 0]);
    site.write("zones/parts/a", other);
    assert_eq!(site.moved(), ["a.example"]);

    // One that is bad is told of once, and mended where it is bad.
    site.write("zones/parts/a", bad);
    let told = site.moved();
    assert!(told.len() == 1 && told[0].starts_with("zones/parts/a:1:5: "), "{told:?}");
    assert_eq!(site.moved(), [""; 0]);
    site.write("zones/parts/a", other);
    assert_eq!(site.moved(), ["a.example"]);

    // So is one that is gone.
    site.rename("zones/parts/a", "zones/parts/b");
    let told = site.moved();
    assert!(
        told.len() == 1 && told[0].starts_with("zones/a.example.zone:5:10: parts/a: No such file"),
        "{told:?}"
    );
    assert_eq!(site.moved(), [""; 0]);
    site.rename("zones/parts/b", "zones/parts/a");
    assert_eq!(site.moved(), ["a.example"]);

    // And one that is good, but not in this zone.
    site.write("zones/a.example.toml", "[[pool]]\nname = 'x'\n");
    let told = site.moved();
    assert!(told.len() == 1 && told[0].contains("is in the way of the pool"), "{told:?}");
    site.write("zones/parts/a", "y A 10.0.0.2\n");
    assert_eq!(site.moved(), ["a.example"]);
}

#[test]
fn no_broken_zone_file_changes_anything() {
    let mut site = two_zones();
    let mut kinds = 0;
    for (text, line) in crate::zone::file::tests::broken::files() {
        kinds += 1;
        site.write("zones/a.example.zone", &text);
        let said = site.asked();
        let place = format!("zones/a.example.zone:{line}:");
        assert!(said.len() == 1 && said[0].starts_with(&place), "{text}: {said:?}");
    }
    assert!(kinds > 900, "{kinds}");
    site.write("zones/a.example.zone", &zone_with("www A 192.0.2.2"));
    assert_eq!(site.asked(), ["a.example"]);
}
