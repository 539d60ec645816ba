//! What a name is to the server: found by asking for `_status` of it, and of the names above it up to the zone's.

use std::net::IpAddr;

use super::session::{Answer, AskError, Data, Session};
use crate::query::status::line::{Kind, Line, MemberLine, PoolLine};
use crate::wire::{Name, Rcode, Rtype, label_text, lower, name_text};

/// What a name is that a pool answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Is {
    /// The pool itself.
    Pool,
    /// A service of it.
    Service,
    /// `all` of it: everybody's addresses.
    All,
    /// A service of `all`.
    ServiceOfAll,
    /// The pool as who browses for a service finds it.
    Instance,
    /// Perhaps a member: one label below the pool.
    Member(String),
    /// Another name below the pool.
    Below,
}

/// Where in a pool a name is, and what the pool makes of its members.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub is: Is,
    /// Of the pool, or of the service that is asked for.
    pub pool: PoolLine,
    /// The pool's own name.
    pub apex: Name,
    pub members: Vec<MemberLine>,
    /// How many more there are than the answer had room for.
    pub not_shown: usize,
}

/// What came of looking.
pub(super) enum Found {
    Place(Box<Place>),
    /// No pool answers for the name.
    Nothing,
    /// This pool does, and does not say how.
    NotTold(Name),
}

/// Finds what answers for a name, and whether `client` would be told so.
pub(super) fn find(session: &mut Session, name: &Name, client: Option<IpAddr>) -> Result<Found, AskError> {
    let mut found = look(session, name)?;
    if let Found::Place(place) = &mut found {
        place.pool.client = match (client, Name::bytes_from_str(&place.pool.name)) {
            (Some(client), Ok(of)) => told(session, &of, client)?,
            _ => None,
        };
    }
    Ok(found)
}

/// Whether `client` would be told the status of a name that has one.
fn told(session: &mut Session, of: &Name, client: IpAddr) -> Result<Option<(IpAddr, bool)>, AskError> {
    let Some(asked) = child("_status", of) else { return Ok(None) };
    let answer = session.ask(&asked, Rtype::TXT, Some(client))?;
    Ok(read(&answer, of, of, client).and_then(|place| place.pool.client))
}

fn look(session: &mut Session, name: &Name) -> Result<Found, AskError> {
    let mut zone = None;
    for (suffix, skip) in name.iter_suffixes().zip(0..) {
        let Some((below, answer)) = status(session, "", &suffix)? else { continue };
        if answer.is_prohibited() {
            return Ok(Found::NotTold(suffix));
        }
        if let Some(place) = read(&answer, &suffix, &below, session.nobody) {
            return found(session, place, &labels(name, skip));
        }
        zone = answer.zone.or(zone);
        // Above the zone there is nothing of it; of a name of no zone there is nothing at all.
        if answer.rcode == Rcode::REFUSED || zone.as_ref() == Some(&suffix) {
            break;
        }
    }
    find_instance(session, name)
}

/// Asks for the status of `LEFT.name`. `None` if no name is that long.
fn status(session: &mut Session, left: &str, name: &Name) -> Result<Option<(Name, Answer)>, AskError> {
    let of = if left.is_empty() { name.clone() } else { child(left, name).unwrap_or_else(|| name.clone()) };
    let Some(asked) = child("_status", &of) else { return Ok(None) };
    let nobody = session.nobody;
    Ok(Some((of, session.ask(&asked, Rtype::TXT, Some(nobody))?)))
}

fn child(left: &str, name: &Name) -> Option<Name> {
    Name::bytes_from_str(&format!("{left}.{}", name_text(name.as_slice()))).ok()
}

/// The labels of a name left of the suffix at `skip`, in presentation form and lower case.
fn labels(name: &Name, skip: usize) -> Vec<String> {
    name.iter().take(skip).map(|label| label_text(&lower(label.as_slice()))).collect()
}

/// What a pool says, if the answer is the server's word and not a wildcard's or somebody's TXT record: those know nothing of
/// the client that was asked for.
fn read(answer: &Answer, apex: &Name, of: &Name, client: IpAddr) -> Option<Place> {
    let (mut pool, mut members, mut not_shown) = (None, Vec::new(), 0);
    for record in &answer.records {
        let Data::Text(text) = &record.data else { continue };
        match Line::parse(text)? {
            Line::Pool(line) => pool = Some(line),
            Line::Member(line) => members.push(*line),
            Line::More(more) => not_shown = more,
            Line::Nobody => {}
        }
    }
    let pool = pool.filter(|pool| pool.client.is_some_and(|(asked, _)| asked == client));
    let pool = pool.filter(|pool| Name::bytes_from_str(&pool.name).is_ok_and(|name| name == *of))?;
    let is = if pool.kind == Kind::Pool { Is::Pool } else { Is::Service };
    Some(Place { is, pool, apex: apex.clone(), members, not_shown })
}

/// What the labels left of a name with a status are to it.
fn found(session: &mut Session, mut place: Place, left: &[String]) -> Result<Found, AskError> {
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    place.is = match (&place.is, left.as_slice()) {
        (Is::Service, []) => {
            // The pool's own name is behind the service's two labels.
            place.apex = place.apex.iter_suffixes().nth(2).unwrap_or(place.apex);
            Is::Service
        }
        (Is::Pool, []) => Is::Pool,
        (Is::Pool, ["all"]) => Is::All,
        (Is::Pool, [service, protocol, "all"]) if service.starts_with('_') && protocol.starts_with('_') => {
            let service = format!("{service}.{protocol}");
            let of_service = status(session, &service, &place.apex)?;
            let nobody = session.nobody;
            let of_service = of_service.and_then(|(of, answer)| read(&answer, &place.apex, &of, nobody));
            place = of_service.unwrap_or(place);
            Is::ServiceOfAll
        }
        (Is::Pool, [label]) if !label.starts_with('_') => Is::Member((*label).to_owned()),
        _ => Is::Below,
    };
    Ok(Found::Place(Box::new(place)))
}

/// A pool under one of its services' names (RFC 6763): `web._http._tcp` is `_http._tcp.web`. The labels of a pool of several
/// are one there.
fn find_instance(session: &mut Session, name: &Name) -> Result<Found, AskError> {
    let left = labels(name, 3);
    let [instance, service, protocol] = left.as_slice() else { return Ok(Found::Nothing) };
    let is_service = service.starts_with('_') && protocol.starts_with('_') && !instance.starts_with('_');
    let Some(zone) = name.iter_suffixes().nth(3).filter(|_| is_service) else { return Ok(Found::Nothing) };
    let Some(pool) = child(&instance.replace("\\.", "."), &zone) else { return Ok(Found::Nothing) };
    let asked = status(session, &format!("{service}.{protocol}"), &pool)?;
    let Some((of, answer)) = asked else { return Ok(Found::Nothing) };
    if answer.is_prohibited() {
        return Ok(Found::NotTold(pool));
    }
    let place = read(&answer, &pool, &of, session.nobody);
    let place = place.map(|place| Box::new(Place { is: Is::Instance, ..place }));
    Ok(place.map_or(Found::Nothing, Found::Place))
}
