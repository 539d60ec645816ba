//! What a pool answers when nobody is fit to serve, as the zone's TOML says.

use super::server::{Server, Site};

const POOLS: &str = "[[pool]]\nname = 'ask'\non_all_down = 'fallback'\nfallback = 'spare'\n\
    [[pool]]\nname = 'no'\non_all_down = 'nodata'\n[[pool]]\nname = 'fail'\non_all_down = 'servfail'\n\
    [[pool]]\nname = 'last'\non_all_down = 'last-good'\n[[pool]]\nname = 'spare'\n\
    [[pool]]\nname = 'circle'\non_all_down = 'fallback'\nfallback = 'ask'\n";

/// A member that weighs so much.
fn join(server: &Server, pool: &str, weight: u8, address: &str) {
    let name = format!("m1.{pool}.pool.example. 600");
    server.update(&[], &format!("update add {name} A {address}\nupdate add {name} TXT weight={weight}"));
}

#[test]
fn each_pool_does_what_its_zone_file_says_when_nobody_is_fit() {
    let Some(server) = Site::new(POOLS).serve() else { return };
    let addresses = |pool: &str| {
        let answer = server.dig(&format!("{pool}.pool.example A"));
        (answer.status.clone(), answer.data())
    };
    let says = |status: &str, data: &[&str]| {
        (status.to_owned(), data.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for (n, pool) in ["ask", "no", "fail", "last", "web", "circle"].into_iter().enumerate() {
        let address = format!("10.0.0.{n}");
        join(&server, pool, 1, &address);
        assert_eq!(addresses(pool), says("NOERROR", &[&address]), "{pool} is fit");
        join(&server, pool, 0, &address);
    }
    assert_eq!(addresses("ask"), says("NOERROR", &[]), "there is nobody to fall back on");
    join(&server, "spare", 1, "10.0.0.9");
    for (pool, wanted) in [
        ("ask", says("NOERROR", &["10.0.0.9"])),
        ("no", says("NOERROR", &[])),
        ("fail", says("SERVFAIL", &[])),
        ("web", says("NOERROR", &["10.0.0.4"])),
        ("circle", says("NOERROR", &[])),
    ] {
        assert_eq!(addresses(pool), wanted, "{pool}");
    }
    let text = server.dig_text("ask.pool.example A");
    assert!(text.contains("EDE: 0") && text.contains("another pool answers"), "{text}");
    assert_eq!(addresses("spare"), says("NOERROR", &["10.0.0.9"]));
}

#[test]
fn what_a_pool_does_then_changes_with_the_file() {
    let Some(server) = Site::new("").serve() else { return };
    join(&server, "web", 0, "10.0.0.1");
    assert_eq!(server.web(), ["10.0.0.1"]);
    let file = server.path().join("zones/pool.example.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let from = server.log.len();
    std::fs::write(&file, format!("freeze_max = 0\non_all_down = 'servfail'\n{text}")).unwrap();
    server.log.wait_from(from, &["INFO reloaded", "pool.example."]);
    server.dig("web.pool.example A").is("SERVFAIL", "qr");

    let from = server.log.len();
    std::fs::write(&file, format!("on_all_down = 'fallback'\nfallback = 'a.b'\n{text}")).unwrap();
    let place = "pool.example.toml:2:12: `fallback`: \"a.b\": registrations make pools one label below the zone alone";
    server.log.wait_from(from, &[place]);
    server.dig("web.pool.example A").is("SERVFAIL", "qr");
}
