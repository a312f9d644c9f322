//! What lets a person log in to a discovery system: a key pair and a password, made for one
//! discovery.

use ssh_key::{Algorithm, LineEnding, PrivateKey, private::Ed25519Keypair};

/// Letters of a password; without those that are easily mistaken for each other.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// Bytes from here on would make some letters more likely than others.
const UNFAIR: usize = 256 - 256 % LETTERS.len();
/// Number of letters: more than 116 bits.
const LENGTH: usize = 20;
/// Cost of the hash. Nobody guesses 116 bits, so stretching adds nothing but load: at a thousand
/// servers a minute the usual cost would take a whole core.
const COST: u32 = 4;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no randomness.
    #[error("no randomness")]
    Random(#[from] getrandom::Error),
    /// The key pair cannot be written down.
    #[error("key pair not encoded")]
    Key(#[from] ssh_key::Error),
    /// The password cannot be hashed.
    #[error("password not hashed")]
    Hash(#[from] bcrypt::BcryptError),
}

/// Key pair and password. Has no `Debug`, so that it ends in no log.
pub(crate) struct Keys {
    /// Public key, as in `authorized_keys`.
    pub public: String,
    /// Private key, in OpenSSH's PEM.
    pub private: String,
    /// Password.
    pub password: String,
    /// Hash of the password, as in `shadow`.
    pub password_hash: String,
}

/// Makes new keys.
///
/// # Errors
///
/// If the system gives no randomness.
pub(crate) fn generate(comment: &str) -> Result<Keys, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment(comment);
    debug_assert_eq!(key.algorithm(), Algorithm::Ed25519);
    let password = password()?;
    Ok(Keys {
        public: key.public_key().to_openssh()?,
        private: key.to_openssh(LineEnding::LF)?.to_string(),
        password_hash: bcrypt::hash(&password, COST)?,
        password,
    })
}

fn password() -> Result<String, Error> {
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes)?;
        let fair = bytes.into_iter().map(usize::from).filter(|byte| *byte < UNFAIR);
        let letters = fair.map(|byte| char::from(LETTERS[byte % LETTERS.len()]));
        password.extend(letters.take(LENGTH - password.len()));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_new_each_time_and_fit_each_other() {
        let (one, two) = (generate("metal").unwrap(), generate("metal").unwrap());
        assert_ne!(one.password, two.password);
        assert_ne!(one.private, two.private);
        assert_eq!(one.password.len(), LENGTH);
        assert!(bcrypt::verify(&one.password, &one.password_hash).unwrap());
        let private = PrivateKey::from_openssh(&one.private).unwrap();
        assert_eq!(private.public_key().to_openssh().unwrap(), one.public);
    }

    #[test]
    fn a_password_may_have_every_letter_of_the_alphabet_and_no_other() {
        let seen: BTreeSet<u8> = (0..500).flat_map(|_| password().unwrap().into_bytes()).collect();
        assert_eq!(seen, LETTERS.iter().copied().collect());
    }
}
