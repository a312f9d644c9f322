//! What a person needs to log in to a discovery system: a key pair and a password, generated for
//! each discovery.

use ssh_key::{Algorithm, LineEnding, PrivateKey, private::Ed25519Keypair};

/// Characters of a password, without those that are easily confused.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// Bytes from here on would make some characters more likely than others.
const REJECT_FROM: usize = 256 - 256 % LETTERS.len();
/// Number of characters: more than 116 bits.
const LENGTH: usize = 20;
/// Cost of the hash. 116 bits cannot be guessed, so key stretching adds nothing but load: at a
/// thousand servers a minute the usual cost would take a whole core.
const COST: u32 = 4;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system provides no randomness.
    #[error("no random numbers available")]
    Random(#[from] getrandom::Error),
    /// The key pair cannot be encoded.
    #[error("could not encode the key pair")]
    Key(#[from] ssh_key::Error),
    /// The password cannot be hashed.
    #[error("could not hash the password")]
    Hash(#[from] bcrypt::BcryptError),
}

/// Key pair and password. Has no `Debug`, so that it is not logged by accident.
pub(crate) struct Keys {
    /// Public key, as in `authorized_keys`.
    pub public: String,
    /// Private key, in OpenSSH's PEM format.
    pub private: String,
    /// Password.
    pub password: String,
    /// Hash of the password, as in `/etc/shadow`.
    pub password_hash: String,
}

/// Generates new keys.
///
/// # Errors
///
/// If the system provides no randomness.
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
        let fair = bytes.into_iter().map(usize::from).filter(|byte| *byte < REJECT_FROM);
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
