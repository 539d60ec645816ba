//! Places on earth as text: LOC (RFC 1876 section 3).

use super::ZoneFault;
use super::fields::Fields;

/// The altitude of the wire's zero: 100,000 m below the reference spheroid, centimetres.
const ALTITUDE_BASE_CM: i64 = 10_000_000;

/// Size, horizontal and vertical precision if they are left out, centimetres (RFC 1876 section 3).
const SIZES_CM: [u64; 3] = [100, 1_000_000, 1_000];

pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    let latitude = angle(fields, 90, ["N", "S"])?;
    let longitude = angle(fields, 180, ["E", "W"])?;
    let (is_below, altitude) = metres(fields, true)?;
    let altitude = i64::try_from(altitude).ok().map(|altitude| if is_below { -altitude } else { altitude });
    let altitude = altitude.and_then(|altitude| u32::try_from(altitude + ALTITUDE_BASE_CM).ok());
    let altitude = altitude.ok_or(ZoneFault::expected("metres from -100000 to 42849672.95"))?;
    out.push(0);
    for default_cm in SIZES_CM {
        let size_cm = if fields.peek().is_some() { metres(fields, false)?.1 } else { default_cm };
        out.push(exponential(size_cm).ok_or(ZoneFault::expected("metres from 0 to 90000000"))?);
    }
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// Degrees, minutes, seconds and a hemisphere, in thousandths of a second from 2^31 on.
fn angle(fields: &mut Fields<'_, '_>, degrees_max: u32, hemispheres: [&str; 2]) -> Result<u32, ZoneFault> {
    let expected = || ZoneFault::expected("degrees, minutes, seconds and one of N, S or E, W");
    let degrees = fields.number::<u32>().map_err(|_| expected())?;
    let mut thousandths = degrees.checked_mul(3_600_000).ok_or_else(expected)?;
    for unit in [60_000, 1_000] {
        if fields.peek().is_some_and(|word| hemispheres.iter().any(|hemisphere| word.is(hemisphere))) {
            break;
        }
        let part = decimal(&fields.octets()?, if unit == 1_000 { 3 } else { 0 }).ok_or_else(expected)?;
        let part = if unit == 1_000 { part } else { part.saturating_mul(unit) };
        let part =
            u32::try_from(part).ok().filter(|&part| u64::from(part) < 60 * unit).ok_or_else(expected)?;
        thousandths = thousandths.checked_add(part).ok_or_else(expected)?;
    }
    let word = fields.word()?;
    if thousandths > degrees_max * 3_600_000 {
        return Err(expected());
    }
    match hemispheres.map(|hemisphere| word.is(hemisphere)) {
        [true, _] => Ok((1 << 31) + thousandths),
        [_, true] => Ok((1 << 31) - thousandths),
        _ => Err(expected()),
    }
}

/// Metres, with `m` behind them or without it, in centimetres, and whether a minus is in front.
fn metres(fields: &mut Fields<'_, '_>, is_signed: bool) -> Result<(bool, u64), ZoneFault> {
    let text = fields.octets()?;
    let text = text.strip_suffix(b"m").or(text.strip_suffix(b"M")).unwrap_or(&text);
    let (is_below, text) = match text.strip_prefix(b"-") {
        Some(text) if is_signed => (true, text),
        _ => (false, text),
    };
    let metres = decimal(text, 2).ok_or(ZoneFault::expected("metres, such as -24.5m"))?;
    Ok((is_below, metres))
}

/// A decimal number with up to so many places, as a whole number of the last one.
fn decimal(text: &[u8], places: usize) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = !whole.is_empty()
        && [whole, part].iter().all(|part| part.bytes().all(|octet| octet.is_ascii_digit()));
    let has_empty_part = text.contains('.') && part.is_empty();
    if !is_number || has_empty_part || part.len() > places {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

/// A size in one octet: a digit and the power of ten that it is taken times (RFC 1876 section 2). What has more than one
/// digit is cut short, as others do.
fn exponential(mut centimetres: u64) -> Option<u8> {
    let mut exponent = 0;
    while centimetres >= 10 {
        centimetres /= 10;
        exponent += 1;
    }
    let mantissa = u8::try_from(centimetres).ok()?;
    (exponent <= 9).then_some(mantissa << 4 | exponent)
}

#[cfg(test)]
mod tests {
    use crate::wire::Rtype;

    #[test]
    fn places() {
        const EQUATOR: [u8; 4] = [0x80, 0, 0, 0];
        const SEA_LEVEL: [u8; 4] = 10_000_000_u32.to_be_bytes();
        let cambridge = [
            &[0, 0x33, 0x16, 0x13][..],
            &[0x89, 0x17, 0x2D, 0xD0, 0x70, 0xBE, 0x15, 0xF0, 0, 0x98, 0x8D, 0x20],
        ];
        let of = |sizes: [u8; 3], south: [u8; 4], east: [u8; 4], altitude: [u8; 4]| {
            [&[0], &sizes[..], &south, &east, &altitude].concat()
        };
        let second = |away: i64| u32::try_from((1_i64 << 31) + away * 1_000).unwrap().to_be_bytes();
        for (text, wanted) in [
            ("42 21 54 N 71 06 18 W -24m 30m", cambridge.concat()),
            ("0 N 0 E 0", of([0x12, 0x16, 0x13], EQUATOR, EQUATOR, SEA_LEVEL)),
            ("0 0 1 s 0 0 1 w 0m 0 0 0", of([0; 3], second(-1), second(-1), SEA_LEVEL)),
            ("90 N 180 E 0m", of([0x12, 0x16, 0x13], second(324_000), second(648_000), SEA_LEVEL)),
            ("0 N 0 E -100000.00M 90000000m 99.99 1.5m", of([0x99, 0x93, 0x12], EQUATOR, EQUATOR, [0; 4])),
            ("0 N 0 E 42849672.95m", of([0x12, 0x16, 0x13], EQUATOR, EQUATOR, [255; 4])),
        ] {
            let found = crate::zone::file::rdata(Rtype::LOC, text.as_bytes());
            assert_eq!(found.as_deref(), Ok(wanted.as_slice()), "{text}");
        }
    }
}
