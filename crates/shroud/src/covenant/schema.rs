//! The schema: one text, and the numbers of action kinds that its versions know.

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, Schema, Validator};
use ghostplane_types::transaction::ACTION_KINDS;
use std::sync::LazyLock;

/// `docs/covenant.cedarschema`, as rules are checked against it.
pub const SCHEMA_TEXT: &str = include_str!("../../../../docs/covenant.cedarschema");
/// The version of [`SCHEMA_TEXT`].
pub const SCHEMA_VERSION: u16 = 1;
/// The highest action kind that each version knows, from version 1 on. Kinds are handed out in order.
const KINDS_KNOWN: [u8; 1] = [36];

/// The group of action kinds that move value.
pub(super) const MOVES_VALUE: &str = "moves_value";

/// Whether sets of that schema version know the action kind.
pub(super) fn knows(version: u16, kind: u8) -> bool {
    let known = usize::from(version).checked_sub(1).and_then(|at| KINDS_KNOWN.get(at));
    kind > 0 && known.is_some_and(|last| kind <= *last)
}

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// Another account, or the own one.
    Account,
    /// An asset.
    Asset,
    /// A contract.
    Contract,
    /// A name.
    Name,
}

/// What the schema says of an action kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionShape {
    /// What it can be done to.
    pub resources: &'static [ResourceKind],
    /// Whether it is of the group `moves_value`.
    pub moves_value: bool,
}

/// What the schema says of the action kind with that number.
pub fn action_shape(kind: u8) -> Option<ActionShape> {
    use ResourceKind::{Account, Asset, Contract, Name};
    let (resources, moves_value): (&[ResourceKind], bool) = match action_name(kind)? {
        "transfer" | "open_stream" | "top_up" | "deposit" => (&[Account], true),
        "withdraw" | "mint" | "burn" => (&[Asset], true),
        "call" => (&[Contract], true),
        "deploy" => (&[Contract], false),
        "set_covenant" => (&[Account, Asset, Contract], false),
        "register_asset" | "freeze_asset" => (&[Asset], false),
        "register_name" | "update_name" | "transfer_name" | "renew_name" => (&[Name], false),
        _ => (&[Account], false),
    };
    Some(ActionShape { resources, moves_value })
}

/// The name of an action kind, as rules write it.
pub fn action_name(kind: u8) -> Option<&'static str> {
    ACTION_KINDS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

/// The action kind of that name.
pub fn action_kind(name: &str) -> Option<u8> {
    ACTION_KINDS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// Checks policies against the schema.
pub(super) static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA_TEXT).expect("a test parses this text");
    Validator::new(schema)
});

/// The types of entities, parsed once.
pub(super) struct TypeNames {
    pub account: EntityTypeName,
    pub asset: EntityTypeName,
    pub contract: EntityTypeName,
    pub name: EntityTypeName,
    pub approvals: EntityTypeName,
}

pub(super) static TYPE_NAMES: LazyLock<TypeNames> = LazyLock::new(|| {
    let name = |text: &str| text.parse::<EntityTypeName>().expect("a plain identifier");
    TypeNames {
        account: name("Account"),
        asset: name("Asset"),
        contract: name("Contract"),
        name: name("Name"),
        approvals: name("Approvals"),
    }
});

/// An action as Cedar sees it: its id, and the entity that says whether it moves value.
pub(super) struct ActionEntity {
    pub uid: EntityUid,
    pub entity: Entity,
    /// Nothing but this action: all that a policy can look at that mentions no fact of another entity.
    pub alone: Entities,
}

static ACTIONS: LazyLock<Vec<ActionEntity>> = LazyLock::new(|| {
    let name: EntityTypeName = "Action".parse().expect("a plain identifier");
    let uid = |id: &str| EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id));
    let action = |(kind, id): &(u8, &str)| {
        let moves = action_shape(*kind).is_some_and(|shape| shape.moves_value);
        let parents = moves.then(|| uid(MOVES_VALUE));
        let entity = Entity::new_with_tags(uid(id), [], parents, []).expect("there is no attribute to fail");
        let alone = Entities::from_entities([entity.clone()], None).expect("one entity has no duplicate");
        ActionEntity { uid: uid(id), entity, alone }
    };
    ACTION_KINDS.iter().map(action).collect()
});

/// The action with that number.
pub(super) fn action_entity(kind: u8) -> Option<&'static ActionEntity> {
    let at = ACTION_KINDS.iter().position(|(number, _)| *number == kind)?;
    ACTIONS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::RequestEnv;

    #[test]
    fn the_schema_and_the_shapes_say_the_same() {
        let schema = VALIDATOR.schema();
        let (_, warnings) = Schema::from_cedarschema_str(SCHEMA_TEXT).expect("it parses");
        assert_eq!(warnings.count(), 0);
        let mut said: Vec<(String, String)> = schema
            .request_envs()
            .map(|env: RequestEnv| (env.action().id().unescaped().to_owned(), env.resource().to_string()))
            .collect();
        said.sort();
        let mut meant = Vec::new();
        for (kind, name) in ACTION_KINDS {
            let shape = action_shape(*kind).expect("every kind has a shape");
            meant.extend(shape.resources.iter().map(|resource| ((*name).to_owned(), format!("{resource:?}"))));
        }
        meant.sort();
        assert_eq!(said, meant);
        let groups: Vec<String> = schema.action_groups().map(|group| group.id().unescaped().to_owned()).collect();
        assert_eq!(groups, [MOVES_VALUE]);
        let entities = schema.action_entities().expect("the schema's own actions");
        for (kind, name) in ACTION_KINDS {
            let ours = action_entity(*kind).expect("known");
            let theirs = entities.get(&ours.uid).expect("the schema knows every kind");
            assert!(theirs.deep_eq(ours.alone.get(&ours.uid).expect("it is there")), "{name}");
        }
    }

    #[test]
    fn a_version_knows_the_kinds_it_was_made_with() {
        assert!(knows(1, 1) && knows(1, 36));
        assert!(!knows(1, 0) && !knows(1, 37) && !knows(0, 1) && !knows(2, 1));
        assert_eq!(KINDS_KNOWN.len(), usize::from(SCHEMA_VERSION));
        assert_eq!(
            ACTION_KINDS.last().map(|(kind, _)| *kind),
            KINDS_KNOWN.last().copied(),
            "a new kind: a new version"
        );
        // 34 was never given to an action.
        assert!(ACTION_KINDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
