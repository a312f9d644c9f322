//! Diffie-Hellman in the group ffdhe2048 (RFC 7919, appendix A.1), in constant time.

use crypto_bigint::{
    Encoding, U256, U2048,
    modular::runtime_mod::{DynResidue, DynResidueParams},
};
use rustls::{
    Error, NamedGroup, PeerMisbehaved, ProtocolVersion,
    crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup},
    ffdhe_groups::{FFDHE2048, FfdheGroup},
};

/// Length of the group's numbers, in octets.
const LEN: usize = 256;

/// The group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ffdhe2048;

impl SupportedKxGroup for Ffdhe2048 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        // More than the 225 bits that exhaust the strength of the group (RFC 7919, section 5.2).
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| GetRandomFailed)?;
        let secret = U256::from_be_bytes(secret);
        let generator = number(FFDHE2048.g).ok_or(GetRandomFailed)?;
        let public = power(&generator, &secret).to_be_bytes();
        Ok(Box::new(Exchange { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }

    /// TLS 1.3 has better groups.
    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_2
    }
}

/// Our half of a key exchange.
struct Exchange {
    secret: U256,
    public: [u8; LEN],
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let theirs = number(theirs).filter(is_public).ok_or(PeerMisbehaved::InvalidKeyShare)?;
        Ok(SharedSecret::from(&power(&theirs, &self.secret).to_be_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }
}

/// A number as on the wire, where leading zeros may be omitted; `None` if it is too long.
fn number(bytes: &[u8]) -> Option<U2048> {
    let mut whole = [0; LEN];
    whole.get_mut(LEN.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(U2048::from_be_bytes(whole))
}

fn modulus() -> U2048 {
    number(FFDHE2048.p).unwrap_or(U2048::ONE)
}

/// Whether it is between 2 and p - 2 (RFC 7919, section 5.1).
fn is_public(number: &U2048) -> bool {
    *number > U2048::ONE && *number < modulus().wrapping_sub(&U2048::ONE)
}

fn power(base: &U2048, exponent: &U256) -> U2048 {
    let params = DynResidueParams::new(&modulus());
    DynResidue::new(base, params).pow_bounded_exp(exponent, U256::BITS).retrieve()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_same_secret() {
        let (one, other) = (Ffdhe2048.start().unwrap(), Ffdhe2048.start().unwrap());
        let (first, second) = (one.pub_key().to_vec(), other.pub_key().to_vec());
        assert_ne!(first, second);
        let (one, other) = (one.complete(&second).unwrap(), other.complete(&first).unwrap());
        assert_eq!(one.secret_bytes(), other.secret_bytes());
        assert_eq!(one.secret_bytes().len(), LEN);
    }

    #[test]
    fn powers_are_those_of_the_group() {
        let two = U2048::from(2_u8);
        assert_eq!(power(&two, &U256::from(10_u8)), U2048::from(1024_u16));
        // The order of 2 is that of the large subgroup, (p - 1) / 2, which is odd and prime.
        let minus_one = modulus().wrapping_sub(&U2048::ONE);
        assert_eq!(power(&minus_one, &U256::from(2_u8)), U2048::ONE);
        assert_eq!(power(&minus_one, &U256::from(3_u8)), minus_one);
    }

    #[test]
    fn numbers_that_give_the_secret_away_are_refused() {
        let minus_one = modulus().wrapping_sub(&U2048::ONE).to_be_bytes();
        for theirs in [&[][..], &[0], &[1], &minus_one, FFDHE2048.p, &[0xff; LEN], &[1; LEN + 1]] {
            assert!(Ffdhe2048.start().unwrap().complete(theirs).is_err());
        }
        assert!(Ffdhe2048.start().unwrap().complete(&[2]).is_ok());
    }
}
