//! The plan as Markdown, for a comment on a merge request.
//!
//! Knows layout. Refuses to compute, and to say of changes what `plan_text` does not also say.

use devnet_schema::plan::{Action, Plan};

use super::{
    levels,
    plan_text::{self, NO_CHANGES},
    style::{Style, printable},
};

/// A summary line, and the plan folded away behind it.
pub fn plan(plan: &Plan) -> String {
    if plan.summary.is_empty() && plan_text::open(&plan.placement) == 0 && plan.is_applicable() {
        let limit = plan_text::solve_limit(plan.placement.solve_limit, plan.placement.cut_short);
        let limit = limit.map_or(String::new(), |line| format!(" {line}"));
        return format!("**{}**: {NO_CHANGES}{limit}\n", plan.cluster);
    }
    let rows = rows(plan);
    let body = plan_text::plan(plan, Style::PLAIN);
    // A fence longer than any in the text cannot be closed by it.
    let fence = "`".repeat(longest_run(&body).max(2) + 1);
    let placement = plan_text::placement(&plan.placement);
    let levels = match levels::markdown(&plan.placement) {
        list if list.is_empty() => list,
        list => format!("\n{list}"),
    };
    let headline = match plan_text::refused(plan) {
        Some(why) => why,
        None if !plan.is_applicable() => "Nothing will be done: the plan has errors.".to_owned(),
        None if plan.summary.is_empty() => plan_text::nothing(&plan.placement),
        None => plan_text::summary(&plan.summary),
    };
    let findings = findings(plan);
    format!(
        "**{}**: {headline}\n\n{rows}{findings}{placement}\n{levels}\n\
         <details><summary>The whole plan</summary>\n\n{fence}text\n\
         {body}{fence}\n\n</details>\n",
        plan.cluster,
    )
}

/// A table of the changes; nothing where there are none.
fn rows(plan: &Plan) -> String {
    let changes = plan.changes.iter().filter(|change| change.action != Action::Noop);
    let rows = changes.map(|change| {
        let node = match &change.from {
            Some(from) => format!("{from} → {}", change.node),
            None => change.node.to_string(),
        };
        let symbol = plan_text::symbol(change.action);
        let reason = change.reason.replace('|', "\\|");
        format!("| `{symbol}` | `{}` | {node} | {reason} |\n", change.instance)
    });
    match rows.collect::<String>() {
        none if none.is_empty() => none,
        rows => format!("| | instance | node | why |\n|---|---|---|---|\n{rows}\n"),
    }
}

/// Errors and warnings as a list: who reads this does not see the terminal.
fn findings(plan: &Plan) -> String {
    let lines = plan.diagnostics.iter().map(|found| {
        let word = if found.is_error() { "Error" } else { "Warning" };
        let at = found.at.as_ref().map_or(String::new(), |at| format!(" ({at})"));
        let text = printable(&found.message).replace('<', "&lt;");
        format!("- {word} {}{at}: {text}\n", found.code)
    });
    match lines.collect::<String>() {
        none if none.is_empty() => none,
        list => format!("{list}\n"),
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use devnet_schema::{diagnostic::Diagnostic, placement::PriorityLevel};

    use super::*;

    #[test]
    fn levels_are_listed_before_the_fold() {
        let mut told = Plan::empty("lab".parse().unwrap(), String::new());
        told.summary.moved = 1;
        told.placement.moves = 1;
        told.placement.moves_proven = true;
        let level = PriorityLevel {
            priority: 7,
            wanted: 2,
            placed: 2,
            bound: 2,
            proven: true,
            ..PriorityLevel::default()
        };
        told.placement.levels = vec![level];
        let text = plan(&told);
        let (seen, folded) = text.split_once("<details>").unwrap();
        assert!(seen.contains("\nPlacement: 1 to move, 0 unplaced"), "{text}");
        let listed = "\n\n- priority 7: 2 of 2 placed (proven)\n- moves: 1 (proven least)\n";
        assert!(seen.contains(listed), "{text}");
        assert!(folded.contains("  priority 7  2 of 2 placed (proven)\n"), "{text}");
    }

    #[test]
    fn a_refused_plan_says_so_first_and_has_no_empty_table() {
        let mut refused = Plan::empty("lab".parse().unwrap(), String::new());
        refused.placement.unplaced = 2;
        let message = "service `a` does not fit: no <node> can run it";
        refused.diagnostics.push(Diagnostic::error("DN-E0601", None, message));
        let text = plan(&refused);
        assert!(text.starts_with("**lab**: Nothing will be done: 2 instances have no place. "));
        let listed = "\n\n- Error DN-E0601: service `a` does not fit: no &lt;node> can run it\n\n";
        assert!(text.contains(listed) && !text.contains("| why |"), "{text}");
        refused.diagnostics[0].code = "DN-E0602".to_owned();
        let text = plan(&refused);
        assert!(text.starts_with("**lab**: Nothing will be done: the plan has errors."), "{text}");
        refused.diagnostics.clear();
        let text = plan(&refused);
        assert!(text.starts_with("**lab**: No changes. 2 instances have no place: "), "{text}");
    }

    #[test]
    fn a_fence_outlasts_the_text() {
        assert_eq!(longest_run("a``` b ````"), 4);
        assert_eq!(longest_run(""), 0);
    }
}
