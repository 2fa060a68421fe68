//! Renames that lead nowhere, and those that nobody wrote.

use devnet_schema::plan::{Action, Plan};

use super::World;

fn file(name: &str, more: &str) -> String {
    format!(
        "cluster \"lab\"\n{more}\n\
         service \"{name}\" {{ image \"db:1\"; volume \"data\" at=\"/d\" }}\n"
    )
}

fn told<'p>(plan: &'p Plan, code: &str) -> Vec<(Option<u32>, &'p str, Option<&'p str>)> {
    let found = plan.diagnostics.iter().filter(|it| it.code == code);
    found
        .map(|it| (it.at.as_ref().map(|at| at.line), it.message.as_str(), it.help.as_deref()))
        .collect()
}

#[test]
fn a_rename_of_a_name_that_nothing_has_is_told_with_what_was_meant() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("store", ""));
    let plan = world.plan(&file("keep", "moved from=\"stor\" to=\"keep\""));
    let found = told(&plan, "DN-W0623");
    assert_eq!(
        found,
        [(
            Some(2),
            "nothing called `stor` runs or has data, so nothing is renamed",
            Some("did you mean `store`?")
        )]
    );
    // One that was done is no mistake, nor is one on its way.
    let right = file("keep", "moved from=\"store\" to=\"keep\"");
    let plan = world.reach(&right);
    assert!(told(&plan, "DN-W0623").is_empty() && told(&plan, "DN-W0624").is_empty());
    assert!(told(&world.plan(&right), "DN-W0623").is_empty());
}

#[test]
fn what_looks_like_a_rename_and_loses_the_data_names_the_line_to_write() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("store", ""));
    let plan = world.plan(&file("keep", ""));
    let actions: Vec<Action> = plan.changes.iter().map(|change| change.action).collect();
    assert_eq!(actions, [Action::Create, Action::Delete]);
    let found = told(&plan, "DN-W0624");
    assert_eq!(found.len(), 1, "{found:?}");
    let help = found[0].2.unwrap();
    assert!(help.contains("`moved from=\"store\" to=\"keep\"`"), "{help}");
    let other = file("keep", "").replace("db:1", "cache:1");
    assert!(told(&world.plan(&other), "DN-W0624").is_empty(), "it is something else");
}
