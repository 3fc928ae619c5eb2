//! Payment files: CSV in, payments out, and every row that is none named by its line.

use anyhow::{Context as _, bail};
use ghostplane_types::limits::MEMO_BYTES_MAX;
use ghostplane_types::{Amount, AssetId, Money};
use std::path::Path;

/// Rows of one file.
pub const ROWS_MAX: usize = 1_000_000;
/// Bytes of a payer's or payee's name.
pub const NAME_BYTES_MAX: usize = 80;
const COLUMNS: [&str; 5] = ["payer", "payee", "amount", "asset", "reference"];

/// One row that is a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The row's line in the file, the heading being line 1.
    pub line: u64,
    /// Who pays.
    pub payer: String,
    /// Who is paid.
    pub payee: String,
    /// How much of what.
    pub money: Money,
    /// What for; travels as the transaction's memo.
    pub reference: String,
}

/// One row that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The row's line in the file.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// A payment file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payments {
    /// What can be paid, in the file's order.
    pub payments: Vec<Payment>,
    /// What cannot, in the file's order.
    pub refused: Vec<BadRow>,
}

/// Reads a payment file. Fails as a whole only where it is no payment file; a bad row is listed, the others are kept.
pub fn read(path: &Path) -> anyhow::Result<Payments> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    parse(file).with_context(|| format!("cannot use {} as a payment file", path.display()))
}

/// Reads a payment file of one payer. The column payer may be left out; where it is there, each row has to name the payer by
/// one of `names`. Payees may be addresses.
pub fn parse_of_payer(content: &[u8], payer: &str, names: &[String]) -> anyhow::Result<Payments> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(content);
    let heading = reader.headers().context("the first line is no heading")?.clone();
    let read = if heading.iter().any(|found| found.eq_ignore_ascii_case("payer")) {
        parse(content)?
    } else {
        parse_rows(content, Some(payer))?
    };
    let mut out = Payments { payments: Vec::new(), refused: read.refused };
    for row in read.payments {
        if row.payer == payer || names.contains(&row.payer) {
            out.payments.push(row);
        } else {
            let problem = format!("the payer is '{}', not '{payer}'", row.payer);
            out.refused.push(BadRow { line: row.line, problem });
        }
    }
    Ok(out)
}

fn parse(input: impl std::io::Read) -> anyhow::Result<Payments> {
    parse_rows(input, None)
}

fn parse_rows(input: impl std::io::Read, payer: Option<&str>) -> anyhow::Result<Payments> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let heading = reader.headers().context("the first line is no heading")?.clone();
    let column = |name: &str| {
        let at = heading.iter().position(|found| found.eq_ignore_ascii_case(name));
        at.with_context(|| format!("there is no column '{name}'; the columns are {}", COLUMNS.join(", ")))
    };
    let of_payer = if payer.is_some() { None } else { Some(column("payer")?) };
    let columns = [column("payee")?, column("amount")?, column("asset")?, column("reference")?];

    let mut read = Payments::default();
    let mut record = csv::StringRecord::new();
    loop {
        let fallback_line = reader.position().line();
        let line = match reader.read_record(&mut record) {
            Ok(false) => return Ok(read),
            Ok(true) => record.position().map_or(fallback_line, csv::Position::line),
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                let line = error.position().map_or(fallback_line, csv::Position::line);
                read.refused.push(BadRow { line, problem: "the row is not UTF-8".into() });
                continue;
            }
            Err(error) => return Err(error).context("the file cannot be read to its end"),
        };
        if read.payments.len() + read.refused.len() >= ROWS_MAX {
            bail!("more than {ROWS_MAX} rows; split the file");
        }
        match payment(line, &heading, &record, payer, of_payer, columns) {
            Ok(payment) => read.payments.push(payment),
            Err(problem) => read.refused.push(BadRow { line, problem }),
        }
    }
}

fn payment(
    line: u64,
    heading: &csv::StringRecord,
    record: &csv::StringRecord,
    payer: Option<&str>,
    of_payer: Option<usize>,
    columns: [usize; 4],
) -> Result<Payment, String> {
    if record.len() != heading.len() {
        return Err(format!("{} fields where the heading has {}", record.len(), heading.len()));
    }
    let field = |at| record.get(at).unwrap_or_default();
    let payer = of_payer.map(field).or(payer).unwrap_or_default();
    let [payee, amount, asset, reference] = columns.map(field);
    for (name, what) in [(payer, "payer"), (payee, "payee")] {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!("the {what} is not a name of 1 to {NAME_BYTES_MAX} bytes"));
        }
    }
    let money: Money =
        format!("{amount}{asset}").parse().map_err(|error: ghostplane_types::AmountError| error.to_string())?;
    if money.amount.is_zero() {
        return Err("the amount is zero".into());
    }
    if payer == payee {
        return Err("payer and payee are the same".into());
    }
    if reference.len() > MEMO_BYTES_MAX {
        return Err(format!("the reference has {} bytes, a memo takes {MEMO_BYTES_MAX}", reference.len()));
    }
    Ok(Payment { line, payer: payer.into(), payee: payee.into(), money, reference: reference.into() })
}

/// Makes `count` payments of a small economy from a seed: many customers, a few shops, prices with a long tail.
pub fn generate(seed: u64, count: usize) -> Payments {
    let mut random = SplitMix(seed);
    let customers = (count / 8).max(2) as u64;
    let shops = ["bakery", "books", "cinema", "garage", "pharmacy", "tea-house"];
    let payment = |line| {
        let payer = format!("customer-{:05}", random.below(customers));
        // One payment in eight goes to another customer, the rest to shops, the first of them the most popular.
        let to_customer = random.below(8) == 0;
        let shop = shops[usize::try_from(random.below(6).min(random.below(6))).expect("below 6")];
        let mut payee = if to_customer { format!("customer-{:05}", random.below(customers)) } else { shop.into() };
        if payee == payer {
            payee = shop.into();
        }
        let cents = 50 + random.below(2_000) + if random.below(10) == 0 { random.below(50_000) } else { 0 };
        let asset = if random.below(20) == 0 { AssetId::ZMAN } else { AssetId::GCC };
        let amount = Amount::new(cents * 10_000_000).expect("a small price");
        Payment { line, payer, payee, money: Money { amount, asset }, reference: format!("order {line}") }
    };
    Payments { payments: (2..).take(count).map(payment).collect(), refused: Vec::new() }
}

/// The SplitMix64 generator (Steele, Lea, Flood 2014): a few lines, the same numbers everywhere, nothing secret.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `limit`, which is small enough for the bias not to matter.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Payments {
        parse(text.as_bytes()).expect("a payment file")
    }

    #[test]
    fn good_rows_are_paid_and_bad_rows_are_named() {
        let read = parsed(
            "payer,payee,amount,asset,reference,date\n\
             ann,bob,1.50,gcc,tea,2026-01-01\n\
             ann,bob,0.00,gcc,nothing,2026-01-01\n\
             ann,ann,1,gcc,self,2026-01-01\n\
             ann,bob,1.0000000001,gcc,dust,2026-01-01\n\
             ann,bob,-1,gcc,minus,2026-01-01\n\
             ann,bob,1,btc,coin,2026-01-01\n\
             ann,bob,1,gcc\n\
             ,bob,1,gcc,who,2026-01-01\n\
             \"a,b\",bob,2,zman,\"quoted, with comma\",2026-01-01\n\
             ann,bob,99999999999999999999,gcc,huge,2026-01-01\n",
        );
        let paid: Vec<(u64, &str)> = read.payments.iter().map(|row| (row.line, row.payer.as_str())).collect();
        assert_eq!(paid, [(2, "ann"), (10, "a,b")]);
        assert_eq!(read.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 11]);
        assert!(read.refused[0].problem.contains("zero"), "{:?}", read.refused[0]);
    }

    #[test]
    fn what_is_no_payment_file_is_refused_as_a_whole() {
        let missing = parse("payer,payee,amount\nann,bob,1\n".as_bytes()).expect_err("columns are missing");
        assert!(missing.to_string().contains("'asset'"), "{missing}");
        assert!(parse(&b""[..]).is_err());
        let long = format!("payer,payee,amount,asset,reference\nann,bob,1,gcc,{}\n", "x".repeat(65));
        assert_eq!(parsed(&long).refused.len(), 1);
        let mut broken = b"payer,payee,amount,asset,reference\nann,bob,1,gcc,ok\n".to_vec();
        broken.extend_from_slice(b"ann,b\xffb,1,gcc,no\nann,bob,1,gcc,ok\n");
        let read = parse(&broken[..]).expect("only one row is broken");
        assert_eq!((read.payments.len(), read.refused.len()), (2, 1));
    }

    #[test]
    fn a_payers_own_file_needs_no_payer_and_takes_no_other() {
        let names = ["ann".to_string(), "ghost1ann".to_string()];
        let of_ann = |text: &str| parse_of_payer(text.as_bytes(), "ann", &names).expect("a payment file");
        let read = of_ann("payee,amount,asset,reference\nbob,1,gcc,tea\nann,1,gcc,self\n");
        assert_eq!(read.payments.iter().map(|row| (row.line, row.payer.as_str())).collect::<Vec<_>>(), [(2, "ann")]);
        assert_eq!(read.refused.len(), 1);
        let read =
            of_ann("payer,payee,amount,asset,reference\nann,bob,1,gcc,a\nghost1ann,bob,1,gcc,b\neve,bob,1,gcc,c\n");
        assert_eq!(read.payments.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3]);
        assert!(read.refused[0].problem.contains("'eve'"), "{:?}", read.refused);
    }

    #[test]
    fn a_generated_economy_is_the_same_every_time() {
        let made = generate(7, 10_000);
        assert_eq!(made, generate(7, 10_000));
        assert_ne!(made, generate(8, 10_000));
        assert!(made.payments.iter().all(|row| row.payer != row.payee && !row.money.amount.is_zero()));
    }
}
