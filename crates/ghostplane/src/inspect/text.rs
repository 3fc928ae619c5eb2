//! Texts that stand for bytes: addresses, DIDs, amounts.

use anyhow::bail;
use ghostplane_types::{Address, Encode as _, Money};

use super::format::Decoded;
use super::sheet::Sheet;
use crate::keys::entity_word;
use ghostplane_ghostcipher::hex;

/// Takes `text` for an address, a DID or an amount.
pub(super) fn inspect(text: &str) -> anyhow::Result<Decoded> {
    let text = text.trim();
    let not_address = match Address::parse(text) {
        Ok((address, entity_type)) => {
            let fields = Sheet::new()
                .text("claims to be a", entity_word(entity_type))
                .text("bytes", hex::encode(address.as_bytes()));
            let derived = Sheet::new()
                .text("address", address.to_text(entity_type))
                .text("DID", address.to_did(entity_type))
                .text("owner digest", address.owner_digest());
            return Ok(Decoded::new(fields).derived(derived).of("address", 32));
        }
        Err(error) => error,
    };
    let not_money = match text.parse::<Money>() {
        Ok(money) => {
            let bytes = [money.asset.to_bytes(), money.amount.to_bytes()].concat();
            let fields = Sheet::new()
                .number("base units", money.amount.units())
                .id("asset", money.asset.number())
                .text("bytes", hex::encode(&bytes));
            let derived = Sheet::new().text("amount", money);
            return Ok(Decoded::new(fields).derived(derived).of("amount", bytes.len()));
        }
        Err(error) => error,
    };
    // Only the reason that fits what was probably meant.
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        bail!("'{text}' is no amount: {not_money}");
    }
    bail!("'{text}' is neither address, DID nor amount: {not_address}; an amount looks like 1.5gcc")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::EntityType;

    #[test]
    fn addresses_and_dids_show_their_bytes() {
        let address = Address::from_bytes([7; 32]);
        for text in [address.to_text(EntityType::Service), address.to_did(EntityType::Service)] {
            let json = inspect(&text).expect("an address").to_json();
            assert_eq!(json["fields"]["bytes"], "07".repeat(32));
            assert_eq!(json["fields"]["claims_to_be_a"], "service");
        }
    }

    #[test]
    fn amounts_show_their_base_units() {
        let json = inspect(" 1.5gcc ").expect("an amount").to_json();
        assert_eq!(json["fields"]["base_units"], 1_500_000_000);
        assert_eq!(json["fields"]["bytes"], "00000000002f685900000000");
        assert_eq!(json["derived"]["amount"], "1.5gcc");
    }

    #[test]
    fn other_texts_are_refused_with_the_reason_that_fits() {
        let table = [
            ("1.5", "names no asset"),
            ("1.0000000001gcc", "finer than 9 decimals"),
            ("alice", "neither address, DID nor amount"),
            ("ghost1qqqq", "checksum"),
            ("", "neither"),
        ];
        for (text, expected) in table {
            let error = inspect(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
