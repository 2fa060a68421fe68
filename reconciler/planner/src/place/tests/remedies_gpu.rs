//! Remedies of a lack of GPUs: an existing node is given what it lacks, wherever that would do.

use devnet_schema::quantity::Bytes;

use super::*;

fn ways(nodes: Vec<NodeInput>, services: Vec<ServiceInput>) -> Vec<String> {
    let outcome = checked(&problem(nodes, services));
    let [unplaced] = &outcome.unplaced[..] else { panic!("{outcome:#?}") };
    unplaced.suggestions.iter().map(|it| it.text.clone()).collect()
}

fn llm(gpu: GpuRequest) -> ServiceInput {
    ServiceInput { gpu, ..service("llm", 1) }
}

const SLICE: GpuRequest = GpuRequest::Memory(Bytes::gib(24));

#[test]
fn the_node_of_a_pin_is_given_one() {
    let mut llm = llm(SLICE);
    llm.pin = Some(Pin { node: node_name("nuc2"), at: None });
    let nodes = vec![node("nuc1", 4, 8), node("nuc2", 4, 8)];
    let outcome = checked(&problem(nodes, vec![llm]));
    let [way] = &outcome.unplaced[0].suggestions[..] else { panic!("{outcome:#?}") };
    assert_eq!(way.text, "give nuc2 a GPU with 24GiB");
    let raise = Edit::Raise {
        node: node_name("nuc2"),
        resource: "gpu".to_owned(),
        amount: 1,
        gpus: vec![Bytes::gib(24)],
        gpu_model: None,
    };
    assert_eq!(way.edits, [raise]);
}

#[test]
fn the_node_of_the_company_is_given_one() {
    let mut db = service("db", 1);
    db.pin = Some(Pin { node: node_name("nuc2"), at: None });
    let mut llm = llm(SLICE);
    llm.near.push(service_name("db"));
    let nodes = vec![node("nuc1", 4, 8), node("nuc2", 4, 8)];
    assert_eq!(ways(nodes, vec![db, llm]), ["give nuc2 a GPU with 24GiB"]);
}

#[test]
fn what_else_is_short_is_given_with_it() {
    let mut llm = llm(SLICE);
    (llm.cpu_milli, llm.memory) = (6000, 10 * GIB);
    let expected = [
        "give nuc 2 cpu and 2GiB of memory more and a GPU with 24GiB",
        "add one node with 6 cpu, 10GiB of memory and a GPU with 24GiB",
    ];
    assert_eq!(ways(vec![node("nuc", 4, 8)], vec![llm]), expected);
}

#[test]
fn every_form_of_asking_is_answered() {
    let one = |gpu: GpuRequest| ways(vec![node("nuc", 4, 8)], vec![llm(gpu)])[0].clone();
    assert_eq!(one(GpuRequest::Whole(1)), "give nuc a GPU");
    assert_eq!(one(GpuRequest::Whole(2)), "give nuc 2 GPUs");
    assert_eq!(one(GpuRequest::Share(250)), "give nuc a GPU");
    let two = |gpu: GpuRequest| {
        let llm = ServiceInput { replicas: 2, ..llm(gpu) };
        ways(vec![node("nuc", 4, 8)], vec![llm])[0].clone()
    };
    assert_eq!(two(GpuRequest::Share(500)), "give nuc a GPU");
    assert_eq!(two(GpuRequest::Share(600)), "give nuc 2 GPUs");
    assert_eq!(two(SLICE), "give nuc 2 GPUs with 24GiB each");
}

#[test]
fn a_model_is_got_where_it_is_asked_for() {
    let mut small = node("nuc", 4, 8);
    small.gpus.push(gpu("g0", "T4", 16));
    let mut llm = llm(GpuRequest::Whole(1));
    llm.require.push(condition(Key::GpuModel, &["A100"]));
    let expected = [
        "drop `require gpu-model=A100` of service llm at cluster.kdl:7:5",
        "give nuc a GPU of model A100",
        "add one node with 1 cpu, 1GiB of memory and a GPU of model A100",
    ];
    assert_eq!(ways(vec![small.clone()], vec![llm.clone()]), expected);
    // A service may look at the devices of its node without asking for one.
    llm.gpu = GpuRequest::None;
    assert_eq!(ways(vec![small.clone()], vec![llm]), expected);
    let mut other = self::llm(SLICE);
    other.forbid.push(condition(Key::GpuModel, &["T4"]));
    let expected = [
        "give nuc a GPU of a model other than T4 with 24GiB",
        "add one node with 1 cpu, 1GiB of memory and a GPU of a model other than T4 with 24GiB",
    ];
    assert_eq!(ways(vec![small], vec![other]), expected);
}

/// Slices larger than the devices that are there.
#[test]
fn a_device_that_is_too_small_is_joined_by_another() {
    let mut small = node("nuc", 4, 8);
    small.gpus.push(gpu("g0", "T4", 16));
    let expected = [
        "give nuc a GPU with 24GiB",
        "add one node with 1 cpu, 1GiB of memory and a GPU with 24GiB",
    ];
    assert_eq!(ways(vec![small], vec![llm(SLICE)]), expected);
}
