//! Rules that most people want, as data: typed parameters in, a text that sets out.
//!
//! No parameter is text of its own. Addresses, amounts, numbers and words of a closed list are written by this module, so
//! there is nothing to inject.

use super::limits::APPROVAL_WEIGHT_MAX;
use super::request::{account, entity_word, is_role};
use super::set::PolicySet;
use ghostplane_types::{Address, EntityType, Money};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// How long spending is counted: the hour, the day or the 30 days that the batch's time lies in, counted from 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One hour.
    Hour,
    /// One day.
    Day,
    /// Thirty days.
    Month,
}

impl Window {
    const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A template with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// At most so much of an asset in a window.
    SpendingLimit {
        /// How much, of what.
        limit: Money,
        /// In which window.
        window: Window,
    },
    /// Value moves to these accounts alone; not to the L1.
    AllowList {
        /// Who, 1 to 512.
        accounts: BTreeSet<Address>,
    },
    /// No value moves to or from these accounts.
    DenyList {
        /// Who, 1 to 256.
        accounts: BTreeSet<Address>,
    },
    /// Value moves at these hours alone, UTC.
    BusinessHours {
        /// The first minute of the day, 0 to 1439.
        from: u16,
        /// The minute before which it ends, above `from`, at most 1440.
        until: u16,
        /// Days of the week, Monday is 1.
        days: BTreeSet<u8>,
    },
    /// More than an amount takes approvals of a guardian role.
    TwoPerson {
        /// Up to and with this amount nobody else is asked.
        above: Money,
        /// Whose approvals.
        role: String,
        /// What the approvals must weigh together.
        weight: u32,
    },
    /// Value moves only for those whom a credential says to be of a type.
    CredentialRequired {
        /// The certified type.
        certified: EntityType,
        /// The least level of verification.
        level: u8,
    },
    /// No value moves.
    Freeze,
    /// The account receives, and sends nothing.
    ReceiveOnly {
        /// Which account.
        account: Address,
    },
    /// At most so much of an asset in one payment to an account.
    PayeeCap {
        /// Who is paid.
        payee: Address,
        /// How much, of what.
        cap: Money,
    },
}

/// A parameter of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// A value that it could have; `A` stands for an address.
    pub example: &'static str,
}

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateInfo {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What to attach it to.
    pub attach: &'static str,
    /// Its parameters; all must be given.
    pub parameters: &'static [Parameter],
}

const fn parameter(name: &'static str, takes: &'static str, example: &'static str) -> Parameter {
    Parameter { name, takes, example }
}

const AN_AMOUNT: &str = "an amount, like 25gcc";
const ADDRESSES: &str = "addresses, separated by commas";
const AN_ADDRESS: &str = "an address, ghost1…";

/// Every template.
pub const TEMPLATES: &[TemplateInfo] = &[
    TemplateInfo {
        name: "spending-limit",
        about: "at most so much of an asset in an hour, a day or 30 days",
        attach: "outgoing",
        parameters: &[parameter("limit", AN_AMOUNT, "25gcc"), parameter("window", "hour, day or month", "day")],
    },
    TemplateInfo {
        name: "allow-list",
        about: "value moves to these accounts alone, and not to the L1",
        attach: "outgoing",
        parameters: &[parameter("accounts", ADDRESSES, "A")],
    },
    TemplateInfo {
        name: "deny-list",
        about: "no value moves to or from these accounts",
        attach: "outgoing, incoming, asset, contract or plane",
        parameters: &[parameter("accounts", ADDRESSES, "A")],
    },
    TemplateInfo {
        name: "business-hours",
        about: "value moves at these hours alone, UTC",
        attach: "outgoing, asset or contract",
        parameters: &[
            parameter("from", "a time of day, like 09:00", "09:00"),
            parameter("until", "a later time of day, up to 24:00", "17:30"),
            parameter("days", "days of the week, Monday is 1, separated by commas", "1,2,3,4,5"),
        ],
    },
    TemplateInfo {
        name: "two-person",
        about: "more than an amount takes approvals of a guardian role",
        attach: "outgoing, asset or contract",
        parameters: &[
            parameter("above", AN_AMOUNT, "100gcc"),
            parameter("role", "a guardian role: 1 to 32 of a-z, 0-9, _ and -", "treasury"),
            parameter("weight", "what the approvals must weigh, 1 to 65536", "1"),
        ],
    },
    TemplateInfo {
        name: "credential-required",
        about: "value moves only for accounts with a credential of a type and level",
        attach: "incoming, asset, contract or plane",
        parameters: &[
            parameter("certified", "wallet, validator, service, contract, bridge or oracle", "service"),
            parameter("level", "the least level of verification, 0 to 255", "1"),
        ],
    },
    TemplateInfo {
        name: "freeze",
        about: "no value moves",
        attach: "outgoing, incoming, asset, contract or plane",
        parameters: &[],
    },
    TemplateInfo {
        name: "receive-only",
        about: "the account receives, and sends nothing",
        attach: "outgoing",
        parameters: &[parameter("account", AN_ADDRESS, "A")],
    },
    TemplateInfo {
        name: "payee-cap",
        about: "at most so much of an asset in one payment to an account",
        attach: "outgoing",
        parameters: &[parameter("payee", AN_ADDRESS, "A"), parameter("cap", AN_AMOUNT, "5gcc")],
    },
];

/// Why there is no rule from these parameters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// No such template.
    #[error("there is no template '{name}'; there are {}", TEMPLATES.iter().map(|info| info.name).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The name given.
        name: String,
    },
    /// A parameter that the template does not have.
    #[error("{template} has no parameter '{name}'")]
    UnknownParameter {
        /// The template.
        template: &'static str,
        /// The name given.
        name: String,
    },
    /// A parameter that is missing.
    #[error("{template} needs {name}={takes}")]
    Missing {
        /// The template.
        template: &'static str,
        /// The parameter.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// A value that does not fit.
    #[error("{name}={value} does not fit: it takes {takes}")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        takes: &'static str,
    },
    /// Values outside what the type alone says: an empty list, one too long for a set, hours that end before they begin.
    #[error("{template}: {reason}")]
    OutOfRange {
        /// The template.
        template: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Template {
    /// Reads a template's parameters as people write them.
    ///
    /// # Errors
    /// As [`TemplateError`] says.
    pub fn parse(name: &str, values: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let info = TEMPLATES.iter().find(|info| info.name == name);
        let info = info.ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })?;
        let known = |name: &str| info.parameters.iter().any(|parameter| parameter.name == name);
        if let Some(name) = values.keys().find(|name| !known(name)) {
            return Err(TemplateError::UnknownParameter { template: info.name, name: name.clone() });
        }
        let given = Given { info, values };
        let template = match info.name {
            "spending-limit" => Self::SpendingLimit {
                limit: given.read("limit", |text| text.parse().ok())?,
                window: given.read("window", |text| Window::ALL.into_iter().find(|window| window.word() == text))?,
            },
            "allow-list" => Self::AllowList { accounts: given.read("accounts", addresses)? },
            "deny-list" => Self::DenyList { accounts: given.read("accounts", addresses)? },
            "business-hours" => Self::BusinessHours {
                from: given.read("from", minute)?,
                until: given.read("until", minute)?,
                days: given.read("days", |text| text.split(',').map(|day| day.trim().parse().ok()).collect())?,
            },
            "two-person" => Self::TwoPerson {
                above: given.read("above", |text| text.parse().ok())?,
                role: given.read("role", |text| Some(text.to_owned()))?,
                weight: given.read("weight", |text| text.parse().ok())?,
            },
            "credential-required" => Self::CredentialRequired {
                certified: given
                    .read("certified", |text| EntityType::ALL.into_iter().find(|kind| entity_word(*kind) == text))?,
                level: given.read("level", |text| text.parse().ok())?,
            },
            "freeze" => Self::Freeze,
            "receive-only" => Self::ReceiveOnly { account: given.read("account", |text| text.parse().ok())? },
            "payee-cap" => Self::PayeeCap {
                payee: given.read("payee", |text| text.parse().ok())?,
                cap: given.read("cap", |text| text.parse().ok())?,
            },
            _ => unreachable!("the table and this list are one: a test walks both"),
        };
        template.text().map(|_| template)
    }

    /// The template's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SpendingLimit { .. } => "spending-limit",
            Self::AllowList { .. } => "allow-list",
            Self::DenyList { .. } => "deny-list",
            Self::BusinessHours { .. } => "business-hours",
            Self::TwoPerson { .. } => "two-person",
            Self::CredentialRequired { .. } => "credential-required",
            Self::Freeze => "freeze",
            Self::ReceiveOnly { .. } => "receive-only",
            Self::PayeeCap { .. } => "payee-cap",
        }
    }

    /// The rules in Cedar, which [`PolicySet::set`] takes.
    ///
    /// # Errors
    /// [`TemplateError::OutOfRange`] alone.
    pub fn text(&self) -> Result<String, TemplateError> {
        let condition = self.condition()?;
        let name = self.name();
        Ok(format!(
            "@id(\"{name}\")\nforbid (principal, action in Action::\"moves_value\", resource){condition};\n\n\
             @id(\"otherwise\")\npermit (principal, action, resource);\n"
        ))
    }

    /// The rules, set.
    ///
    /// # Errors
    /// As [`Template::text`].
    pub fn set(&self) -> Result<PolicySet, TemplateError> {
        Ok(PolicySet::set(&self.text()?).expect("templates write what sets; tests try their bounds"))
    }

    fn condition(&self) -> Result<String, TemplateError> {
        let refuse = |reason| Err(TemplateError::OutOfRange { template: self.name(), reason });
        Ok(match self {
            Self::SpendingLimit { limit, window } => format!(
                "\nwhen {{\n    context.asset == {} &&\n    context.spent.{} + context.amount > {}\n}}",
                asset(limit),
                window.word(),
                limit.amount.units()
            ),
            Self::AllowList { accounts } => {
                if accounts.is_empty() || accounts.len() > 512 {
                    return refuse("1 to 512 accounts; to move nothing at all use freeze");
                }
                format!(
                    "\nunless {{\n    context has counterparty &&\n    [{}].contains(context.counterparty)\n}}",
                    listed(accounts)
                )
            }
            Self::DenyList { accounts } => {
                if accounts.is_empty() || accounts.len() > 256 {
                    return refuse("1 to 256 accounts");
                }
                let listed = listed(accounts);
                format!(
                    "\nwhen {{\n    [{listed}].contains(principal) ||\n    (context has counterparty &&\n    [{listed}].contains(context.counterparty))\n}}"
                )
            }
            Self::BusinessHours { from, until, days } => {
                if from >= until || *until > 1_440 {
                    return refuse("hours begin before they end, and end at 24:00 at the latest");
                }
                if days.is_empty() || days.iter().any(|day| !(1..=7).contains(day)) {
                    return refuse("days are 1, Monday, to 7, Sunday");
                }
                let days: Vec<String> = days.iter().map(u8::to_string).collect();
                format!(
                    "\nunless {{\n    context.minute >= {from} && context.minute < {until} &&\n    [{}].contains(context.weekday)\n}}",
                    days.join(", ")
                )
            }
            Self::TwoPerson { above, role, weight } => {
                if !is_role(role) {
                    return refuse("a role is 1 to 32 of a-z, 0-9, _ and -");
                }
                if !(1..=APPROVAL_WEIGHT_MAX).contains(weight) {
                    return refuse("a weight is 1 to 65536");
                }
                format!(
                    "\nwhen {{ context.asset == {} && context.amount > {} }}\nunless {{\n    context.approvals.hasTag(\"{role}\") &&\n    context.approvals.getTag(\"{role}\") >= {weight}\n}}",
                    asset(above),
                    above.amount.units()
                )
            }
            Self::CredentialRequired { certified, level } => format!(
                "\nunless {{\n    principal has certified && principal.certified == \"{}\" &&\n    principal.level >= {level}\n}}",
                entity_word(*certified)
            ),
            Self::Freeze => String::new(),
            Self::ReceiveOnly { account: who } => format!("\nwhen {{ principal == {} }}", account(who)),
            Self::PayeeCap { payee, cap } => format!(
                "\nwhen {{\n    context has counterparty && context.counterparty == {} &&\n    context.asset == {} && context.amount > {}\n}}",
                account(payee),
                asset(cap),
                cap.amount.units()
            ),
        })
    }
}

struct Given<'a> {
    info: &'static TemplateInfo,
    values: &'a BTreeMap<String, String>,
}

impl Given<'_> {
    fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, TemplateError> {
        let parameter = self.info.parameters.iter().find(|parameter| parameter.name == name);
        let Parameter { name, takes, .. } = *parameter.expect("the table lists every parameter that is read");
        let value = self.values.get(name);
        let value = value.ok_or(TemplateError::Missing { template: self.info.name, name, takes })?;
        parse(value).ok_or_else(|| TemplateError::BadValue { name, value: value.clone(), takes })
    }
}

fn addresses(text: &str) -> Option<BTreeSet<Address>> {
    text.split(',').map(|address| address.trim().parse().ok()).collect()
}

/// `09:00` as minutes of the day.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |part: &str| part.parse::<u16>().ok().filter(|_| part.len() == 2 && !part.starts_with('+'));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 1_440).then_some(hours * 60 + minutes)
}

fn asset(money: &Money) -> String {
    format!("Asset::\"{}\"", money.asset)
}

fn listed(accounts: &BTreeSet<Address>) -> String {
    let accounts: Vec<String> = accounts.iter().map(|address| format!("\n    {}", account(address))).collect();
    accounts.join(",")
}
