//! The secret of DNS cookies: fresh random octets at every start, and again every day.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::sleep;
use tracing::warn;

use super::ServeError;
use crate::security::{Cookies, SECRET_LEN};

/// How long a secret makes cookies. RFC 7873 section 7.1 wants at most 26 hours and forbids more than 36 days.
pub const SECRET_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Cookies of a secret that nobody has had before.
pub fn cookies() -> Result<Arc<Cookies>, ServeError> {
    let secret = draw().map_err(|source| ServeError::Start { what: "DNS cookies", source })?;
    Ok(Arc::new(Cookies::new(secret)))
}

/// Gives `cookies` a new secret after each `life`, for ever.
pub async fn roll_over(cookies: Arc<Cookies>, life: Duration) {
    loop {
        sleep(life).await;
        match draw() {
            Ok(secret) => cookies.roll_over(secret),
            Err(error) => warn!(%error, "DNS cookies keep their secret"),
        }
    }
}

fn draw() -> io::Result<[u8; SECRET_LEN]> {
    let mut secret = [0; SECRET_LEN];
    match SystemRandom::new().fill(&mut secret) {
        Ok(()) => Ok(secret),
        Err(_) => Err(io::Error::other("the system gave no random octets")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn every_start_has_a_secret_of_its_own() {
        let made = |cookies: &Cookies| cookies.make([7; 8], CLIENT, 1);
        assert_ne!(made(&cookies().unwrap()), made(&cookies().unwrap()));
    }

    #[test]
    fn a_running_server_changes_its_secret() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let cookies = cookies().unwrap();
        let first = cookies.make([7; 8], CLIENT, 1);
        runtime.block_on(async {
            tokio::spawn(roll_over(Arc::clone(&cookies), Duration::from_millis(1)));
            let changed = async {
                while cookies.make([7; 8], CLIENT, 1) == first {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), changed).await.expect("a new secret");
        });
    }
}
