//! What rules may cost.

/// Bytes of a set's text.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Nodes of a set: a policy counts one, so does each entity or type its head names, and each node of its conditions.
pub const NODES_MAX: usize = 1_024;
/// Nodes from the top of a condition to its deepest; `a && b && c` is one deeper than `a && b`.
pub const DEPTH_MAX: usize = 64;
/// Brackets and `if`s open at one place. Bounded before anything is parsed, because a parser goes as deep as its text.
pub const BRACKETS_MAX: usize = 32;
/// Bytes of a policy's id.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of a guardian role.
pub const ROLE_BYTES_MAX: usize = 32;
/// Roles of one guardian.
pub(super) const ROLES_MAX: usize = 16;
/// The longest delay that a policy may ask for: 30 days.
pub const DELAY_SECONDS_MAX: u32 = 30 * 24 * 3600;
/// The most one approval can weigh.
pub const APPROVAL_WEIGHT_MAX: u32 = 1 << 16;
/// Free stack that a decision runs with. Cedar gives a policy up when it sees less than 100 KiB of it, and what a decision
/// is must not depend on how deep its caller stands; [`DEPTH_MAX`] keeps every policy far from the end of this much.
pub const STACK_BYTES: usize = 4 << 20;
/// The same for setting, where text is parsed that has met no bound but those of the scan.
pub(super) const STACK_BYTES_TO_SET: usize = 24 << 20;

/// Decisions that a search for what would pass may take, for each of its three parts.
pub(super) const SEARCH_STEPS_MAX: usize = 512;

/// What a decision costs: in any case, for every node that may be evaluated, and for every value in a set of the request
/// or of a literal that a node may go through.
pub(super) const COST_BASE: u64 = 16;
pub(super) const COST_NODE: u64 = 1;
pub(super) const COST_ITEM: u64 = 1;

const _: () = {
    assert!(NODES_MAX <= u16::MAX as usize);
    assert!(STACK_BYTES >= DEPTH_MAX * (16 << 10) * 2);
    // A chain of operators as long as the scan lets through, before its nodes are counted.
    assert!(STACK_BYTES_TO_SET >= 2 * NODES_MAX * (8 << 10));
};

/// What a set takes in memory, rounded up: for a node, and for a policy in each of the subsets that it is in.
pub(super) const NODE_BYTES: usize = 2 << 10;
pub(super) const KEPT_BYTES: usize = 1 << 10;
