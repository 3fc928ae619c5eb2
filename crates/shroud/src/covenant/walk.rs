//! One walk over a policy when it is set: how large it is, what it looks at, and how it follows the amount.

use super::limits::DEPTH_MAX;
use super::request::FactSet;
use cedar_policy::Effect;
use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
    ResourceConstraint, Template, UnaryOp, Var,
};
use std::collections::BTreeSet;

/// What a walk has found.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub nodes: usize,
    pub depth: usize,
    /// Facts that the policy mentions. What it does not mention cannot change what it says.
    pub facts: FactSet,
    /// Whether the policy takes the context in one piece, such as to compare it.
    pub whole_context: bool,
    /// Nodes that go through the values of a set.
    pub scans: usize,
    /// Values of all literal sets.
    pub items: usize,
    pub entities: Vec<EntityUID>,
    /// An entity written out whose facts the policy asks for: the request has none.
    pub stranger: Option<String>,
    /// A function of one of Cedar's extensions.
    pub extension: Option<String>,
    pub numbers: BTreeSet<i64>,
    pub words: BTreeSet<String>,
    /// Additions of the policy.
    pub additions: usize,
}

/// Walks a policy. Stops going deeper past [`DEPTH_MAX`], which is then exceeded in [`Seen::depth`].
pub(super) fn walk(policy: &Template) -> Seen {
    let mut seen = Seen { nodes: 1, ..Seen::default() };
    let principal = match &policy.principal {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::Is(_) => Some(None),
        PrincipalConstraint::Eq(of) | PrincipalConstraint::In(of) | PrincipalConstraint::IsIn(_, of) => Some(Some(of)),
    };
    let resource = match &policy.resource {
        ResourceConstraint::Any => None,
        ResourceConstraint::Is(_) => Some(None),
        ResourceConstraint::Eq(of) | ResourceConstraint::In(of) | ResourceConstraint::IsIn(_, of) => Some(Some(of)),
    };
    for (constraint, fact) in [(principal, FactSet::PRINCIPAL), (resource, FactSet::RESOURCE)] {
        let Some(entity) = constraint else { continue };
        seen.nodes += 1;
        // `is` alone looks at the type, which every stand-in has as well.
        if let Some(EntityOrSlot::Entity(uid)) = entity {
            seen.facts.add(fact);
            seen.entities.push(uid.clone());
        }
    }
    match &policy.action {
        ActionConstraint::Any => {}
        ActionConstraint::Eq(uid) => {
            seen.nodes += 1;
            seen.entities.push(uid.clone());
        }
        ActionConstraint::In(uids) => {
            seen.nodes += uids.len();
            seen.entities.extend(uids.iter().cloned());
        }
    }
    for clause in policy.clauses() {
        let (Clause::When(expr) | Clause::Unless(expr)) = clause;
        seen.expr(expr, 1);
    }
    seen
}

impl Seen {
    fn expr(&mut self, expr: &Expr, depth: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        if depth > DEPTH_MAX {
            return;
        }
        if let Some((window, _)) = window_of(expr) {
            // The spending of this window alone; its record and the context are nodes as well.
            self.facts.add(window);
            self.nodes += 2;
            self.depth = self.depth.max(depth + 2);
            return;
        }
        match expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Var(Var::Principal) => self.facts.add(FactSet::PRINCIPAL),
            Expr::Var(Var::Resource) => self.facts.add(FactSet::RESOURCE),
            Expr::Var(Var::Action) => {}
            // All of the context, in one piece.
            Expr::Var(Var::Context) => {
                self.facts.add(FactSet::CONTEXT);
                self.whole_context = true;
            }
            Expr::GetAttr { expr: base, attr } => self.attribute(base, attr, depth),
            Expr::HasAttr { expr: base, attrs } => {
                self.attribute(base, &attrs.head, depth);
                attrs.tail.iter().for_each(|attr| self.facts.add(FactSet::of_attribute(attr)));
            }
            Expr::UnaryOp { op, expr } => {
                if !matches!(op, UnaryOp::Not | UnaryOp::Neg | UnaryOp::IsEmpty) {
                    self.extension.get_or_insert_with(|| op.to_string());
                }
                self.expr(expr, depth + 1);
            }
            Expr::Like { expr, .. } => self.expr(expr, depth + 1),
            Expr::Is { expr, in_expr, .. } => {
                self.expr(expr, depth + 1);
                in_expr.iter().for_each(|within| self.expr(within, depth + 1));
            }
            Expr::BinaryOp { op, left, right } => {
                use BinaryOp::{Add, And, Contains, ContainsAll, ContainsAny, Eq, GetTag, HasTag, In, NotEq, Or};
                use BinaryOp::{Greater, GreaterEq, Less, LessEq, Mul, Sub};
                match op {
                    Eq | NotEq | In | Contains | ContainsAll | ContainsAny => self.scans += 1,
                    Add => self.additions += 1,
                    GetTag | HasTag => self.facts.add(FactSet::APPROVALS),
                    And | Or | Less | LessEq | Greater | GreaterEq | Sub | Mul => {}
                    _ => drop(self.extension.get_or_insert_with(|| op.to_string())),
                }
                self.expr(left, depth + 1);
                self.expr(right, depth + 1);
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                [cond, then_expr, else_expr].into_iter().for_each(|part| self.expr(part, depth + 1));
            }
            Expr::Set(values) => {
                self.items += values.len();
                values.iter().for_each(|value| self.expr(value, depth + 1));
            }
            Expr::Record(fields) => fields.values().for_each(|value| self.expr(value, depth + 1)),
            // The parser makes neither slots in conditions nor unknowns; were there another node, it would see everything.
            _ => {
                self.facts.add(FactSet::ALL);
                self.whole_context = true;
            }
        }
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Long(number) => drop(self.numbers.insert(*number)),
            Literal::String(word) => drop(self.words.insert(word.to_string())),
            Literal::EntityUID(uid) => self.entities.push(uid.clone()),
            _ => {}
        }
    }

    fn attribute(&mut self, base: &Expr, name: &str, depth: usize) {
        self.facts.add(FactSet::of_attribute(name));
        // Quoted, a policy can name the numbers that stand for windows. By the schema there is no such attribute.
        self.whole_context |= FactSet::WINDOWS.iter().any(|(_, window)| *window == name);
        match base {
            // The base is this one attribute of the context, not all of it.
            Expr::Var(Var::Context) => {
                self.nodes += 1;
                self.depth = self.depth.max(depth + 1);
            }
            Expr::Literal(Literal::EntityUID(uid)) => {
                self.stranger.get_or_insert_with(|| uid.to_string());
                self.expr(base, depth + 1);
            }
            _ => self.expr(base, depth + 1),
        }
    }
}

/// The fact, and the name it has in Cedar's context, if this is `context.spent.hour`, `day` or `month`.
pub(super) fn window_of(expr: &Expr) -> Option<(FactSet, &'static str)> {
    let Expr::GetAttr { expr, attr } = expr else { return None };
    let Expr::GetAttr { expr, attr: spent } = &**expr else { return None };
    let windows = matches!(**expr, Expr::Var(Var::Context)) && spent == "spent";
    FactSet::WINDOWS.into_iter().find(|(_, name)| windows && name.strip_prefix("spent.") == Some(attr))
}

/// How something changes while the amount grows and everything else stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Still,
    /// A number that does not fall, a condition that only turns from false to true.
    Rising,
    Falling,
    Unclear,
}

impl Direction {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Still, same) | (same, Self::Still) => same,
            (a, b) if a == b => a,
            _ => Self::Unclear,
        }
    }

    fn turned(self) -> Self {
        match self {
            Self::Rising => Self::Falling,
            Self::Falling => Self::Rising,
            same => same,
        }
    }
}

/// Whether a policy can only turn against an action when its amount grows, so that what passes with some amount passes with
/// less of it. Says so of plain comparisons and sums alone; it also takes that no sum overflows, which the caller checks.
pub(super) fn is_monotone(policy: &Template, effect: Effect) -> bool {
    let clauses = policy.clauses().iter().map(|clause| match clause {
        Clause::When(expr) => direction(expr),
        Clause::Unless(expr) => direction(expr).turned(),
    });
    let direction = clauses.fold(Direction::Still, Direction::with);
    match effect {
        Effect::Permit => matches!(direction, Direction::Still | Direction::Falling),
        Effect::Forbid => matches!(direction, Direction::Still | Direction::Rising),
    }
}

fn direction(expr: &Expr) -> Direction {
    use Direction::{Rising, Still, Unclear};
    let still = |parts: &[&Expr]| {
        if parts.iter().all(|part| direction(part) == Still) { Still } else { Unclear }
    };
    match expr {
        // A sum with a negative number may fail below.
        Expr::Literal(Literal::Long(number)) if *number < 0 => Unclear,
        Expr::Literal(_) | Expr::Var(Var::Principal | Var::Action | Var::Resource) => Still,
        Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Context)) => {
            if attr == "amount" {
                Rising
            } else {
                Still
            }
        }
        Expr::HasAttr { expr, .. } if matches!(**expr, Expr::Var(Var::Context)) => Still,
        // Facts of what the request names are there; those of an entity that is computed may not be.
        Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } if is_path(expr) => direction(expr),
        Expr::UnaryOp { op: UnaryOp::Not, expr } => direction(expr).turned(),
        Expr::BinaryOp { op, left, right } => match op {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Add => direction(left).with(direction(right)),
            BinaryOp::Less | BinaryOp::LessEq => direction(left).turned().with(direction(right)),
            BinaryOp::Greater | BinaryOp::GreaterEq => direction(left).with(direction(right).turned()),
            BinaryOp::Sub | BinaryOp::Mul => Unclear,
            _ => still(&[left, right]),
        },
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            still(&[cond]).with(direction(then_expr)).with(direction(else_expr))
        }
        Expr::Like { expr, .. } => still(&[expr]),
        Expr::Is { expr, in_expr: None, .. } => still(&[expr]),
        Expr::Set(values) => {
            if values.iter().all(|value| direction(value) == Still) {
                Still
            } else {
                Unclear
            }
        }
        _ => Unclear,
    }
}

fn is_path(expr: &Expr) -> bool {
    match expr {
        Expr::Var(_) => true,
        Expr::GetAttr { expr, .. } => is_path(expr),
        _ => false,
    }
}
