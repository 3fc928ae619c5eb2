//! What a command turns down by itself, before any node does: each with a stable code.

use ghostplane_client::{ApproveError, ClientError, SendError};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::AssetId;
use std::path::PathBuf;

/// A command's own refusal. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Told {
    /// Not a transaction file.
    #[error("{} is no transaction file: {what}. Files are made with --out FILE or --unsigned FILE", .path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Its parts are of different transactions.
    #[error("{} was altered: {what}. Nothing of it is signed or sent; have it made again", .path.display())]
    Altered {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Made for another plane.
    #[error("the transaction is for plane {found}, this node's is {expected}: name the right node with --url URL")]
    OtherPlane {
        /// The file's.
        found: Digest,
        /// The node's.
        expected: Digest,
    },
    /// An approval cannot be added.
    #[error("no approval of '{key}' is added: {error}")]
    Approval {
        /// Whose.
        key: String,
        /// Why.
        error: Box<ApproveError>,
    },
    /// The sender's signature is missing, or the sponsor's.
    #[error("its own {who} has not signed it yet:  ghostplane approve {} --key KEY  with that key", .path.display())]
    Unsigned {
        /// Who has not.
        who: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Something that is done at once or not at all.
    #[error("{kind} cannot be proposed: it is done at once, by those whom it takes (--approve KEY,…)")]
    NotProposable {
        /// The kind of action.
        kind: &'static str,
    },
    /// Somebody who is not asked.
    #[error("key '{key}' has no say in this: it is no guardian of {of}, and the transaction would be refused with it")]
    NoSay {
        /// Whose approval.
        key: String,
        /// Whose guardians are asked.
        of: String,
    },
    /// Not among those held.
    #[error(
        "{of} holds no such proposal: it was executed, declined or dropped, or never made. Records say only what is held; how one ended, receipts tell:  ghostplane events, or  ghostplane tx ID  of the transaction that executed it"
    )]
    NotHeld {
        /// Whose.
        of: String,
    },
    /// Several begin so.
    #[error("{found} proposals begin with '{id}': write more digits")]
    Ambiguous {
        /// What was given.
        id: String,
        /// How many.
        found: usize,
    },
    /// Nobody to ask.
    #[error("{of} has no guardians:  ghostplane guardian set --from {of} --member WHO …")]
    Unguarded {
        /// Whose.
        of: String,
    },
    /// No such asset.
    #[error("there is no asset {asset} on this plane:  ghostplane asset list")]
    NoAsset {
        /// Which.
        asset: AssetId,
    },
    /// An amount that says too little or too much.
    #[error("{what}")]
    Amount {
        /// What to write instead.
        what: String,
    },
    /// Terms of guardians that contradict themselves.
    #[error("{what}")]
    Terms {
        /// What to write instead.
        what: String,
    },
}

impl Told {
    /// The stable number.
    pub(super) const fn code(&self) -> u16 {
        match self {
            Self::NotAFile { .. } => 740,
            Self::Altered { .. } => 741,
            Self::OtherPlane { .. } => 742,
            Self::Approval { .. } => 743,
            Self::Unsigned { .. } => 744,
            Self::NotProposable { .. } => 745,
            Self::NoSay { .. } => 746,
            Self::NotHeld { .. } => 747,
            Self::Ambiguous { .. } => 748,
            Self::Unguarded { .. } => 749,
            Self::NoAsset { .. } => 750,
            Self::Amount { .. } => 751,
            Self::Terms { .. } => 752,
        }
    }
}

/// A refusal of the node, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Advised {
    /// The node's stable code.
    pub(super) code: u16,
    message: String,
}

/// Adds to a refusal what to do next, where there is something.
pub(super) fn advise(error: SendError) -> anyhow::Error {
    let error = match error {
        SendError::Client(error) => error,
        SendError::Draft(error) => return error.into(),
    };
    let code = match &error {
        ClientError::Refused(refused) => Some(refused.code),
        _ => None,
    };
    match code.and_then(|code| Some((code, next_step(code)?))) {
        Some((code, next)) => Advised { code, message: format!("{error} ({code}). {next}") }.into(),
        None => error.into(),
    }
}

/// What to do about a code of somebody's gates, where a command does it.
pub(super) const fn next_step(code: u16) -> Option<&'static str> {
    Some(match code {
        120 | 121 => "See which there are:  ghostplane session list WHO",
        122..=124 => "See what the session may:  ghostplane session list WHO; an own key of the account may more",
        126 => "Its guardians end the freeze:  ghostplane guardian unfreeze WHO",
        127 | 259 => {
            "Guardians on this machine approve with --approve KEY,…; for others write it to a file with --out FILE; or hold it with --propose"
        }
        128 => "Run the same command with --propose, and execute the proposal once its time has come",
        129 => "See who is asked:  ghostplane guardian show WHO",
        254 => "Send it from a guardian's account, or add a guardian's approval with --approve KEY,…",
        255 => "See who has voted:  ghostplane proposal list WHO",
        256 => "More guardians have to agree:  ghostplane proposal approve WHO ID",
        257 => "Run it again then; nothing else is needed",
        258 => "Its guardians end the freeze:  ghostplane guardian unfreeze WHO",
        262 => "See it:  ghostplane guardian show WHO",
        264 => "Add a guardian's approval with --approve KEY",
        270 => "Leave the number out, and a free one is taken",
        272 => "See who issues it:  ghostplane asset show NUMBER",
        274 => "Its issuer lets it move again:  ghostplane asset unfreeze NUMBER",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::reject::REJECT_CODES;

    /// Every code with its name.
    const TOLD_CODES: &[(u16, &str)] = &[
        (740, "NotAFile"),
        (741, "Altered"),
        (742, "OtherPlane"),
        (743, "Approval"),
        (744, "Unsigned"),
        (745, "NotProposable"),
        (746, "NoSay"),
        (747, "NotHeld"),
        (748, "Ambiguous"),
        (749, "Unguarded"),
        (750, "NoAsset"),
        (751, "Amount"),
        (752, "Terms"),
    ];

    #[test]
    fn codes_are_in_the_document_and_advice_is_about_codes_that_are() {
        let document = include_str!("../../../../docs/gates.md");
        for (code, name) in TOLD_CODES {
            assert!(document.contains(&format!("| {code} | `{name}` |")), "{code} {name}");
            assert!((740..760).contains(code), "{code}");
        }
        let no_asset = Told::NoAsset { asset: AssetId::GCC };
        assert_eq!(
            TOLD_CODES.iter().find(|(_, name)| *name == "NoAsset").map(|(code, _)| *code),
            Some(no_asset.code())
        );
        for code in 0..=u16::MAX {
            assert!(next_step(code).is_none() || REJECT_CODES.iter().any(|(known, _)| *known == code), "{code}");
        }
    }
}
