//! `ghostplane inspect`: decodes bytes in any of our formats, and shows what follows from them.
//!
//! The formats carry no name of their own, so without `--as` every decoder tries. Each accepts canonical bytes only and
//! leaves no byte over, so that it is rare for two to succeed; if they do, both are shown, the likelier first.

mod fields;
mod format;
mod gates;
mod input;
mod mana;
mod sheet;
mod state;
mod text;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use ghostplane_types::genesis::{CHAIN_DEV, CHAIN_PLANE};
use serde_json::Value;

pub use format::Format;

use crate::screen::{self, Align, Screen, Table};
use format::Decoded;
use input::Input;

/// What to inspect, and as what.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The file, or - for standard input: raw bytes, hexadecimal text, or a key file
    #[arg(value_name = "FILE", required_unless_present = "text")]
    file: Option<PathBuf>,
    /// Take it for this format [default: try them all]
    #[arg(long = "as", value_name = "FORMAT")]
    format: Option<Format>,
    /// Show the bytes behind an address, a DID or an amount such as 1.5gcc
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "format"])]
    text: Option<String>,
    /// The chain for digests, where the bytes do not name it [default: 10000 and 1337]
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
}

/// An action as JSON.
#[must_use]
pub fn action_json(action: &ghostplane_types::Action) -> Value {
    gates::action(action).to_json()
}

/// A time, as a date in UTC.
#[must_use]
pub fn date(milliseconds: u64) -> String {
    sheet::utc(milliseconds)
}

/// Decodes and shows.
///
/// # Errors
/// If the file cannot be read, or is in none of the formats: then with the reason for each.
pub fn run(args: &InspectArgs, screen: &Screen) -> anyhow::Result<()> {
    let chains = args.chain_id.map_or_else(|| vec![CHAIN_PLANE, CHAIN_DEV], |chain_id| vec![chain_id]);
    let (Some(path), None) = (&args.file, &args.text) else {
        let text = args.text.as_deref().unwrap_or_default();
        show(&[text::inspect(text)?], screen);
        return Ok(());
    };
    let input = Input::read(path)?;
    let found = match args.format {
        Some(format) => vec![decode_as(format, &input, &chains)?],
        None => detect(&input, &chains)?,
    };
    show(&found, screen);
    Ok(())
}

fn decode_as(format: Format, input: &Input, chains: &[u64]) -> anyhow::Result<Decoded> {
    format.decode(input, chains).map_err(|why| {
        anyhow::anyhow!("{} are no {}: {why}. To try every format, leave out --as", input.described(), format.word())
    })
}

/// Everything the bytes can be, the likelier first: what contradicts itself comes after what does not.
fn detect(input: &Input, chains: &[u64]) -> anyhow::Result<Vec<Decoded>> {
    let attempts = Format::all().map(|format| (format, format.decode(input, chains)));
    let (found, failed): (Vec<_>, Vec<_>) = attempts.partition(|(_, result)| result.is_ok());
    let mut found: Vec<Decoded> = found.into_iter().filter_map(|(_, result)| result.ok()).collect();
    found.sort_by_key(|decoded| decoded.doubts.len());
    if found.is_empty() {
        let failed: Vec<_> = failed.into_iter().filter_map(|(format, result)| Some((format, result.err()?))).collect();
        match (input, failed.as_slice()) {
            (Input::Json(_), [(Format::KeyFile, why), ..]) => bail!("{why}"),
            _ => bail!("{}", none_of_ours(input, &failed)),
        }
    }
    Ok(found)
}

fn none_of_ours(input: &Input, failed: &[(Format, String)]) -> String {
    let mut table = Table::new(&[("format", Align::Left), ("why it is none", Align::Left)]);
    for (format, why) in failed {
        table.row([format.word(), why]);
    }
    format!(
        "{} are in none of our formats\n{}\n\
         Is it whole? Hexadecimal text is fine, also with 0x and line breaks; copied shell prompts or quotes are not.\n\
         For one format:  ghostplane inspect FILE --as FORMAT. For an address or amount:  ghostplane inspect --text TEXT.\n\
         The data of a posted batch cannot be read alone: it takes the state before the batch.",
        input.described(),
        table.lines().join("\n"),
    )
}

fn show(found: &[Decoded], screen: &Screen) {
    let (first, others) = found.split_first().expect("callers found at least one");
    if !others.is_empty() {
        let titles: Vec<String> = found.iter().map(Decoded::title).collect();
        screen.note(&format!("Several formats fit, the likeliest first: {}.", titles.join(", ")));
    }
    for decoded in found {
        screen.heading(&format!("{} · {}", decoded.title(), screen::bytes(decoded.bytes as u64)));
        screen.table(&decoded.table());
        for doubt in &decoded.doubts {
            screen.bad(doubt);
        }
    }
    let mut json = first.to_json();
    json["also"] = Value::Array(others.iter().map(Decoded::to_json).collect());
    screen.emit(&json);
}

#[cfg(test)]
mod tests;
