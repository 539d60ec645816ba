//! What is answered when nobody fit is left, and for how long mass silence holds expiry.

use super::*;

const TWO: &str = "[[pool]]\nname = 'web'\n[[pool]]\nname = 'spare'\n";

/// What a zone says for all its pools, and then what holds for each that is declared.
fn settings(zone: &str) -> (OnAllDown, Vec<OnAllDown>) {
    let settings = good("", zone).zones.remove(0).settings;
    let pools = settings.pools.into_iter().map(|(_, pool)| pool.on_all_down).collect();
    (settings.defaults.on_all_down, pools)
}

fn fallback(pool: &str) -> OnAllDown {
    OnAllDown::Fallback(name(pool).as_slice().into())
}

#[test]
fn seconds_of_freezing_end_at_an_hour_and_begin_at_never() {
    for (text, wanted_ms) in [
        ("", 600_000),
        ("freeze_max = 0\n", 0),
        ("freeze_max = 1\n", 1_000),
        ("freeze_max = 3600\n", 3_600_000),
    ] {
        assert_eq!(good("", text).zones[0].settings.freeze_max_ms, wanted_ms, "{text}");
    }
}

#[test]
fn each_word_is_the_zones_and_a_pools_own() {
    for (word, wanted) in [
        ("all", OnAllDown::All),
        ("last-good", OnAllDown::LastGood),
        ("nodata", OnAllDown::NoData),
        ("servfail", OnAllDown::ServFail),
    ] {
        let line = format!("on_all_down = '{word}'\n");
        assert_eq!(settings(&format!("{line}{TWO}")), (wanted.clone(), vec![wanted.clone(); 2]), "{word}");
        let other = if word == "all" { ("nodata", OnAllDown::NoData) } else { ("all", OnAllDown::All) };
        let zone = format!("on_all_down = '{}'\n{TWO}{line}", other.0);
        assert_eq!(settings(&zone), (other.1.clone(), vec![other.1, wanted]), "{word}");
    }
}

#[test]
fn a_fallback_is_taken_from_the_pool_else_from_the_zone() {
    let spare = || fallback("spare.pool.example");
    // Said at one level or at both, and once in other letters: names are compared without case.
    let of_web = |zone: &str, pool: &str| {
        let text = format!("{zone}[[pool]]\nname = 'web'\n{pool}[[pool]]\nname = 'spare'\n");
        let (_, pools) = settings(&text);
        pools.into_iter().next().unwrap()
    };
    let both = "on_all_down = 'fallback'\nfallback = 'Spare.Pool.Example.'\n";
    assert_eq!(of_web("", both), spare());
    assert_eq!(of_web(both, ""), spare());
    assert_eq!(of_web("fallback = 'spare'\n", "on_all_down = 'fallback'\n"), spare());
    assert_eq!(of_web(both, "on_all_down = 'servfail'\n"), OnAllDown::ServFail);

    let zone = "on_all_down = 'fallback'\nfallback = 'spare'\n[[pool]]\nname = 'web'\nfallback = 'other'\n\
        [[pool]]\nname = 'spare'\non_all_down = 'fallback'\nfallback = 'web'\n[[pool]]\nname = 'other'\n";
    let wanted = vec![fallback("other.pool.example"), fallback("web.pool.example"), spare()];
    assert_eq!(settings(zone), (spare(), wanted));
}

#[test]
fn the_pool_that_all_others_fall_back_on_answers_nothing_itself() {
    let zone = format!("on_all_down = 'fallback'\nfallback = 'spare'\n{TWO}");
    assert_eq!(settings(&zone).1, [fallback("spare.pool.example"), OnAllDown::NoData]);
    assert_eq!(settings(&format!("{zone}on_all_down = 'last-good'\n")).1[1], OnAllDown::LastGood);
}

#[test]
fn where_registrations_make_pools_a_fallback_need_not_be_declared() {
    let zone =
        "create_pools = true\non_all_down = 'fallback'\nfallback = 'Spare'\n[[pool]]\nname = 'game.eu'\n";
    assert_eq!(settings(zone), (fallback("spare.pool.example"), vec![fallback("spare.pool.example")]));
    let deep = zone.replace("Spare", "game.eu");
    assert_eq!(settings(&deep), (fallback("game.eu.pool.example"), vec![OnAllDown::NoData]));
    for (text, wanted) in [
        ("web.eu", "registrations make pools one label below the zone alone; declare it with [[pool]]"),
        ("eu", "it can be no pool, for the pool game.eu.pool.example. lies below it; give another"),
    ] {
        let found = bad_zone(&zone.replace("Spare", text));
        let wanted = format!("zones/pool.example.toml:3:12: `fallback`: \"{text}\": {wanted}\n");
        assert!(found.starts_with(&wanted), "{found}");
    }
}

#[test]
fn errors_of_both_keys() {
    let idle =
        "`fallback` does nothing unless `on_all_down` is \"fallback\"; set it so, or remove `fallback`\n";
    let itself = "the fallback of web.pool.example. would be web.pool.example. itself; give it another";
    let with = |zone: &str, pool: &str| format!("{zone}[[pool]]\nname = 'web'\n{pool}");
    for (text, wanted) in [
        (
            with("on_all_down = 'best'\n", ""),
            "1:15: `on_all_down`: \"best\" is no answer that there is; give one of all, last-good, fallback, nodata, \
             servfail\n  1 | on_all_down = 'best'\n    |               ^^^^^^\n"
                .trim_end(),
        ),
        (with("", "on_all_down = ''\n"), "3:15: `on_all_down`: \"\" is no answer"),
        (with("on_all_down = true\n", ""), "1:15: `on_all_down`: invalid type: boolean `true`"),
        (
            with("on_all_down = 'fallback'\n", "fallback = 'web'\n"),
            "1:15: `on_all_down` is \"fallback\", and there is no `fallback` here or above; give `fallback = \"POOL\"`",
        ),
        (with("", "on_all_down = 'fallback'\n"), "3:15: `on_all_down` is \"fallback\", and there is no"),
        (with("fallback = 'web'\n", ""), &format!("1:12: {idle}")),
        (with("fallback = 'web'\non_all_down = 'last-good'\n", ""), &format!("1:12: {idle}")),
        (with("on_all_down = 'all'\n", "fallback = 'web'\n"), &format!("4:12: {idle}")),
        (
            "on_all_down = 'fallback'\nfallback = 'web'\n[[pool]]\nname = 'web'\n\
             [[pool]]\nname = 'game'\non_all_down = 'nodata'\nfallback = 'web'\n"
                .to_owned(),
            &format!("8:12: {idle}"),
        ),
        // The one pool that would fall back has another to fall back on.
        (
            "fallback = 'web'\n[[pool]]\nname = 'web'\n\
             [[pool]]\nname = 'game'\non_all_down = 'fallback'\nfallback = 'web'\n"
                .to_owned(),
            &format!("1:12: {idle}"),
        ),
        (with("", "on_all_down = 'fallback'\nfallback = 'WEB'\n"), &format!("4:12: {itself}")),
        (with("fallback = 'web'\n", "on_all_down = 'fallback'\n"), &format!("4:15: {itself}")),
        (
            with("", "on_all_down = 'fallback'\nfallback = 'spare'\n"),
            "4:12: `fallback`: \"spare\": no [[pool]] of this zone is called so; declare it, or give one of those that \
             are: web.pool.example.\n  4 | fallback = 'spare'\n    |            ^^^^^^^",
        ),
        (
            "on_all_down = 'fallback'\nfallback = 'spare'\n".to_owned(),
            "2:12: `fallback`: \"spare\": no [[pool]] of this zone is called so; declare it, or give one of those that \
             are: none\n",
        ),
    ] {
        let found = bad_zone(&text);
        assert!(found.starts_with(&format!("zones/pool.example.toml:{wanted}")), "{found}");
    }
}

#[test]
fn a_fallbacks_name_is_one_that_a_pool_may_have() {
    let zone = "create_pools = true\non_all_down = 'fallback'\nfallback = ";
    for (text, wanted) in [
        ("", "this is not a domain name; give one relative to pool.example., such as \"web\""),
        ("a b", "this is not a domain name"),
        ("pool.example.", "a pool lies below the zone"),
        ("web.example.", "a pool lies below the zone"),
        ("web.pool.example", "this would be web.pool.example.pool.example.; end it with a dot"),
        ("_http", "the label \"_http\" has a meaning of its own"),
        ("all.web", "the label \"all\" has a meaning of its own"),
    ] {
        let found = bad_zone(&format!("{zone}'{text}'\n"));
        let wanted = format!("zones/pool.example.toml:3:12: `fallback`: \"{text}\": {wanted}");
        assert!(found.starts_with(&wanted), "{found}");
    }
    let found = bad(&[
        ("rollcall.toml", ""),
        ("zones/pool.example.toml", &format!("{zone}'eu'\n")),
        ("zones/eu.pool.example.toml", ""),
    ]);
    let wanted = "zones/pool.example.toml:3:12: `fallback`: \"eu\": it lies in the zone eu.pool.example., which is served too";
    assert!(found.starts_with(wanted), "{found}");
}
