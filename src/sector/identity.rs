//! Everything random of a sector, derived from one seed.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A run's seed: 32 bytes, written as hexadecimal; shorter input is extended with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Seed(pub [u8; 32]);

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes =
            hex::decode(text).map_err(|e| format!("'{text}' is not a seed: {e}; use 2 to 64 hexadecimal digits"))?;
        if bytes.is_empty() || bytes.len() > 32 {
            return Err(format!("a seed of {} bytes: use 1 to 32 (2 to 64 hexadecimal digits)", bytes.len()));
        }
        let mut seed = [0; 32];
        seed[..bytes.len()].copy_from_slice(&bytes);
        Ok(Seed(seed))
    }
}

impl TryFrom<String> for Seed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> String {
        seed.to_string()
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A 32-byte value that is written as hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct Bytes32(#[serde(with = "hex::serde")] pub [u8; 32]);

impl fmt::Display for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The ids and random values a sector is sealed with (Filecoin spec, "Sealing": the inputs of the replica id and of the challenges).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// PoRep id: seeds the graph (DRSample and the Feistel keys).
    pub porep_id: Bytes32,
    /// Prover id.
    pub prover_id: Bytes32,
    /// Sector number.
    pub sector_id: u64,
    /// Ticket: randomness of the replica id.
    pub ticket: Bytes32,
    /// C1 seed: randomness of the PoRep challenges; never all zero.
    pub c1_seed: Bytes32,
}

impl Identity {
    /// The identity of a seed.
    ///
    /// The first eight bytes of a PoRep id name the registered proof; 0 to 4 mean a legacy graph (API 1.0), which is not what
    /// today's network seals, so the derived id stays out of that range.
    pub fn from_seed(seed: &Seed) -> Identity {
        let mut porep_id = derive(seed, "sealbench 2026 porep id");
        porep_id[7] |= 1;
        let mut c1_seed = derive(seed, "sealbench 2026 c1 seed");
        c1_seed[0] |= 1;
        let number = derive(seed, "sealbench 2026 sector id");
        Identity {
            porep_id: Bytes32(porep_id),
            prover_id: Bytes32(derive(seed, "sealbench 2026 prover id")),
            sector_id: u64::from(u32::from_le_bytes([number[0], number[1], number[2], number[3]])),
            ticket: Bytes32(derive(seed, "sealbench 2026 ticket")),
            c1_seed: Bytes32(c1_seed),
        }
    }

    /// A sector of a batch that begins with this one: its number is that much higher, everything else is the same.
    pub fn in_batch(&self, sector: u32) -> Identity {
        Identity { sector_id: self.sector_id.wrapping_add(u64::from(sector)), ..self.clone() }
    }

    /// The replica id (Filecoin spec, "Replica ID"; `generate_replica_id` of storage-proofs-porep).
    pub fn replica_id(&self, comm_d: &[u8; 32]) -> [u8; 32] {
        let mut id: [u8; 32] = Sha256::new()
            .chain_update(self.prover_id.0)
            .chain_update(self.sector_id.to_be_bytes())
            .chain_update(self.ticket.0)
            .chain_update(comm_d)
            .chain_update(self.porep_id.0)
            .finalize()
            .into();
        id[31] &= 0x3f;
        id
    }

    /// The fixed identity that benchy seals with (fil-proofs-tooling: `shared.rs`, `benchy/porep.rs`).
    pub fn benchy() -> Identity {
        Identity {
            porep_id: Bytes32([99; 32]),
            prover_id: Bytes32([9; 32]),
            sector_id: 0,
            ticket: Bytes32([1; 32]),
            c1_seed: Bytes32([1; 32]),
        }
    }
}

fn derive(seed: &Seed, context: &str) -> [u8; 32] {
    blake3::derive_key(context, &seed.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_seed_is_extended_with_zeros() {
        let mut long = [0; 32];
        long[0] = 0xab;
        assert_eq!("ab".parse::<Seed>().unwrap(), Seed(long));
        assert_eq!(hex::encode(long).parse::<Seed>().unwrap(), Seed(long));
        for bad in ["", "a", "zz", &"00".repeat(33)] {
            assert!(bad.parse::<Seed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_seed_gives_distinct_values_that_the_reference_accepts() {
        let one = Identity::from_seed(&Seed([1; 32]));
        let two = Identity::from_seed(&Seed([2; 32]));
        assert_eq!(one, Identity::from_seed(&Seed([1; 32])));
        assert!(one.porep_id != two.porep_id && one.ticket != two.ticket && one.c1_seed != two.c1_seed);
        assert!(one.porep_id != one.ticket && one.ticket != one.prover_id);
        assert!(u64::from_le_bytes(one.porep_id.0[..8].try_into().unwrap()) > 4, "a legacy id changes the graph");
        assert_ne!(one.c1_seed.0, [0; 32]);
    }
}
