//! The form in which Cedar is given a policy to evaluate: the same, without what is known before it is asked.
//!
//! A policy is kept with the action kinds that it can concern, so its head need not test the action again. And the spending
//! of a window is handed over as one number of that name, because a record inside the context takes Cedar as long as two
//! comparisons.

use super::walk::window_of;
use cedar_policy::pst::{ActionConstraint, Clause, Expr, PstConstructionError, Template};
use cedar_policy::pst::{Policy as Tree, StaticPolicy};
use cedar_policy::{Policy, PolicyId};
use std::sync::Arc;

/// The policy in that form, named `id`. Without `windows` the spending stays where it is, for policies that look at the
/// context in one piece.
pub(super) fn ready(policy: &Template, windows: bool, id: PolicyId) -> Result<Policy, PstConstructionError> {
    let clauses = policy.clauses().iter().map(|clause| match clause {
        _ if !windows => clause.clone(),
        Clause::When(expr) => Clause::When(Arc::new(rewritten(expr))),
        Clause::Unless(expr) => Clause::Unless(Arc::new(rewritten(expr))),
    });
    let ready = Template::new(
        policy.id.clone(),
        policy.effect,
        policy.principal.clone(),
        ActionConstraint::Any,
        policy.resource.clone(),
    );
    let ready = StaticPolicy::try_from(ready.try_with_clauses(clauses)?)?;
    Ok(Policy::from_pst(Tree::from(ready))?.new_id(id))
}

/// Goes as deep as the policy, which the walk has bounded.
fn rewritten(expr: &Expr) -> Expr {
    let of = |expr: &Arc<Expr>| Arc::new(rewritten(expr));
    if let Some((_, name)) = window_of(expr) {
        return Expr::GetAttr { expr: Arc::new(Expr::Var(cedar_policy::pst::Var::Context)), attr: name.into() };
    }
    match expr {
        Expr::UnaryOp { op, expr } => Expr::UnaryOp { op: *op, expr: of(expr) },
        Expr::BinaryOp { op, left, right } => Expr::BinaryOp { op: *op, left: of(left), right: of(right) },
        Expr::GetAttr { expr, attr } => Expr::GetAttr { expr: of(expr), attr: attr.clone() },
        Expr::HasAttr { expr, attrs } => Expr::HasAttr { expr: of(expr), attrs: attrs.clone() },
        Expr::Like { expr, pattern } => Expr::Like { expr: of(expr), pattern: pattern.clone() },
        Expr::Is { expr, entity_type, in_expr } => {
            Expr::Is { expr: of(expr), entity_type: entity_type.clone(), in_expr: in_expr.as_ref().map(of) }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            Expr::IfThenElse { cond: of(cond), then_expr: of(then_expr), else_expr: of(else_expr) }
        }
        Expr::Set(values) => Expr::Set(values.iter().map(of).collect()),
        Expr::Record(fields) => Expr::Record(fields.iter().map(|(name, value)| (name.clone(), of(value))).collect()),
        other => other.clone(),
    }
}
