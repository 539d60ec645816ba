//! `rollcall keygen`: a TSIG key, in the forms that the server and its clients read.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{EXIT_FAILED, EXIT_OK, KeygenArgs};
use crate::wire::name_text;

/// Makes a key. Standard output is TOML whether or not there is a key file, so that `>> rollcall.toml` is always right.
pub fn keygen(args: &KeygenArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    // A secret as long as the hash's output is as strong as any (RFC 2104 section 3, RFC 8945 section 8).
    let algorithm = args.algorithm;
    let mut secret = vec![0; algorithm.mac_len()];
    if SystemRandom::new().fill(&mut secret).is_err() {
        writeln!(err, "rollcall: the system gave no random octets; no key was made")?;
        return Ok(EXIT_FAILED);
    }
    let secret = BASE64.encode(secret);
    let name = name_text(args.name.as_slice());
    let key_file = format!("key \"{name}\" {{\n    algorithm {algorithm};\n    secret \"{secret}\";\n}};\n");

    if let Some(path) = &args.key_file
        && let Err(error) = write_new(path, &key_file)
    {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "; move it away first, or name another",
            io::ErrorKind::NotFound => "; make the directory first, or name another",
            _ => "",
        };
        writeln!(err, "rollcall: {}: {error}{hint}", path.display())?;
        return Ok(EXIT_FAILED);
    }
    writeln!(out, "[[key]]\nname = \"{name}\"\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"")?;
    if args.key_file.is_none() {
        writeln!(out, "\n# For `nsupdate -k`, in a file of its own, without the leading \"# \":")?;
        key_file.lines().try_for_each(|line| writeln!(out, "# {line}"))?;
    }
    next_steps(&name, args.key_file.as_deref(), err)?;
    Ok(EXIT_OK)
}

/// Creates a file that its owner alone may read.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn next_steps(name: &str, key_file: Option<&Path>, err: &mut dyn Write) -> io::Result<()> {
    writeln!(
        err,
        "1. The [[key]] lines belong in rollcall.toml: see that they are there, and that only the server can read it:\n   \
         chmod 640 rollcall.toml."
    )?;
    match key_file {
        Some(path) => {
            writeln!(err, "2. Give {} to the servers that register: nsupdate -k FILE.", path.display())?
        }
        None => writeln!(err, "2. Give the commented lines to the servers that register: nsupdate -k FILE.")?,
    }
    writeln!(err, "3. Say in zones/ZONE.toml what the key may register, for example:\n")?;
    writeln!(err, "[[grant]]\nkey = \"{name}\"\npools = [\"web\"]\naddresses = [\"192.0.2.0/24\"]\n")?;
    writeln!(err, "4. See what `rollcall check` says, and restart rollcall.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::wire::{Name, tsig};

    fn run(algorithm: tsig::Algorithm, key_file: Option<&Path>) -> (u8, String, String) {
        let name = Name::bytes_from_str("web.pool.example").unwrap();
        let args = KeygenArgs { name, algorithm, key_file: key_file.map(Into::into) };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = keygen(&args, &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn secret(toml: &str) -> Vec<u8> {
        let toml: toml::Table = toml.parse().unwrap();
        BASE64.decode(toml["key"][0]["secret"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn standard_output_is_toml_with_a_secret_as_long_as_the_hash() {
        use tsig::Algorithm::{HmacSha256, HmacSha384, HmacSha512};
        for (algorithm, octets) in [(HmacSha256, 32), (HmacSha384, 48), (HmacSha512, 64)] {
            let (code, out, err) = run(algorithm, None);
            assert_eq!((code, secret(&out).len()), (EXIT_OK, octets));
            assert!(out.contains("\n# key \"web.pool.example.\" {\n"), "{out}");
            assert!(err.contains("[[grant]]\nkey = \"web.pool.example.\""), "{err}");
            assert!(err.trim_end().ends_with("and restart rollcall."), "{err}");
        }
        assert_ne!(secret(&run(HmacSha256, None).1), secret(&run(HmacSha256, None).1));
    }

    #[test]
    fn the_key_file_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.key");
        let (code, out, _) = run(tsig::Algorithm::HmacSha256, Some(&path));
        assert_eq!(code, EXIT_OK);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = format!(
            "key \"web.pool.example.\" {{\n    algorithm hmac-sha256;\n    secret \"{}\";\n}};\n",
            BASE64.encode(secret(&out))
        );
        assert_eq!(text, wanted);
        assert!(!out.contains('#'), "{out}");

        let (code, out, err) = run(tsig::Algorithm::HmacSha256, Some(&path));
        assert_eq!((code, out.as_str()), (EXIT_FAILED, ""));
        assert!(err.contains("web.key") && err.contains("move it away"), "{err}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
