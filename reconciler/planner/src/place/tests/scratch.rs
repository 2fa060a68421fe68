use super::*;
use devnet_schema::{
    instance::Protocol,
    quantity::{Bytes, Cpu},
};
use serde_json::Value;
pub fn load(name: &str) -> PlacementProblem {
    let dir = std::env::var("DATA").unwrap();
    let fleet: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{dir}/{name}.fleet.json")).unwrap())
            .unwrap();
    let text = std::fs::read_to_string(format!("{dir}/{name}.cluster.yaml")).unwrap();
    let cluster: Value = serde_yaml::from_str(&text).unwrap();
    let mut nodes = Vec::new();
    for n in fleet["nodes"].as_array().unwrap() {
        let mut x = node(
            n["name"].as_str().unwrap(),
            n["cpu_count"].as_u64().unwrap(),
            0,
        );
        x.memory = n["total_memory_mb"].as_u64().unwrap() << 20;
        x.disk = n["disks"][0]["total_mb"].as_u64().unwrap_or(1 << 40) << 20;
        x.tags = n["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap().to_owned())
            .collect();
        x.zone = n["zone"].as_str().map(|z| z.to_owned());
        x.arch = n["arch"].as_str().unwrap().to_owned();
        for g in n["gpus"].as_array().unwrap() {
            x.gpus.push(GpuInput {
                id: g["id"].as_str().unwrap().into(),
                model: g["model"].as_str().unwrap().into(),
                memory: g["mem_mb"].as_u64().unwrap() << 20,
            });
        }
        if cluster["nodes"][x.name.as_str()]["cordon"].as_bool() == Some(true) {
            x.state = NodeState::Cordoned;
        }
        nodes.push(x);
    }
    let mut services = Vec::new();
    for (name, s) in cluster["services"].as_object().unwrap() {
        let mut x = service(name, s["replicas"].as_u64().unwrap_or(1) as u32);
        x.priority = s["priority"].as_u64().unwrap_or(50) as u8;
        let r = &s["resources"];
        let text = |v: &Value| {
            v.as_str()
                .map(|t| t.to_owned())
                .unwrap_or_else(|| v.to_string())
        };
        x.cpu_milli = text(&r["cpu"]).parse::<Cpu>().map(|c| c.milli).unwrap_or(0);
        x.memory = text(&r["memory"])
            .parse::<Bytes>()
            .map(|b| b.0)
            .unwrap_or(0);
        x.disk = text(&r["disk"]).parse::<Bytes>().map(|b| b.0).unwrap_or(0);
        if let Some(g) = r["gpu"].as_f64() {
            x.gpu = if g >= 1.0 {
                GpuRequest::Whole(g as u32)
            } else {
                GpuRequest::Share((g * 1000.0).round() as u32)
            };
        }
        if let Some(g) = r["gpu-memory"].as_str() {
            x.gpu = GpuRequest::Memory(g.parse().unwrap());
        }
        if let Some(ports) = s["ports"].as_array() {
            for p in ports {
                if let Some(h) = p["host"].as_u64() {
                    x.host_ports.push((Protocol::Tcp, h as u16));
                }
            }
        }
        let p = &s["place"];
        let cond = |v: &Value| {
            let (k, val) = v.as_object().unwrap().iter().next().unwrap();
            let key = match k.as_str() {
                "tag" => Key::Tag,
                "arch" => Key::Arch,
                "zone" => Key::Zone,
                "gpu-model" => Key::GpuModel,
                _ => Key::Node,
            };
            let vals: Vec<String> = match val {
                Value::Array(a) => a.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
                v => vec![v.as_str().unwrap().to_owned()],
            };
            Require {
                key,
                any_of: vals,
                at: None,
            }
        };
        if let Some(l) = p["require"].as_array() {
            x.require = l.iter().map(cond).collect();
        }
        if let Some(l) = p["forbid"].as_array() {
            x.forbid = l.iter().map(cond).collect();
        }
        if let Some(l) = p["apart-from"].as_array() {
            x.apart_from = l
                .iter()
                .map(|v| service_name(v.as_str().unwrap()))
                .collect();
        }
        if let Some(l) = p["near"].as_array() {
            x.near = l
                .iter()
                .map(|v| service_name(v.as_str().unwrap()))
                .collect();
        }
        if let Some(m) = p["max-per-node"].as_u64() {
            x.max_per_node = Some(m as u32);
        }
        if let Some(n) = p["pin"].as_str() {
            x.pin = Some(Pin {
                node: node_name(n),
                at: None,
            });
        }
        if let Some(l) = p["spread"].as_array() {
            for sp in l {
                x.spread.push(Spread {
                    by: if sp["by"] == "zone" {
                        SpreadBy::Zone
                    } else {
                        SpreadBy::Node
                    },
                    max_skew: sp["max-skew"].as_u64().unwrap_or(1) as u32,
                    at: None,
                });
            }
        }
        services.push(x);
    }
    let mut p = problem(nodes, services);
    p.limits.suggestions = std::env::var("SUGGEST")
        .map(|s| s.parse().unwrap())
        .unwrap_or(0);
    if let Ok(i) = std::env::var("ILPS") {
        p.limits.ilps = i.parse().unwrap();
    }
    p
}
#[test]
#[ignore]
fn zz_instances() {
    for name in std::env::var("NAMES").unwrap().split(',') {
        let p = load(name);
        let t = std::time::Instant::now();
        let o = place(&p);
        let e = t.elapsed();
        println!(
            "{name} {e:?} status {:?} missing {} levels {:?} moves {} cost {} bound {} gap {:.4} ilps {} {}",
            o.status,
            o.missing(),
            o.levels
                .iter()
                .map(|l| (l.priority, l.placed, l.bound, l.proven))
                .collect::<Vec<_>>(),
            o.moves,
            o.cost,
            o.bound,
            o.gap(),
            o.ilps,
            o.solver
        );
        assert_eq!(verify(&p, &o), []);
        let again = running(&p, &o);
        let t = std::time::Instant::now();
        let o2 = place(&again);
        println!(
            "  again {:?} moves {} same {}",
            t.elapsed(),
            o2.moves,
            places(&o) == places(&o2)
        );
        let mut dead = again.clone();
        let gone = dead
            .nodes
            .iter()
            .map(|n| {
                (
                    o2.assignments.values().filter(|a| a.node == n.name).count(),
                    n.name.clone(),
                )
            })
            .max()
            .unwrap();
        dead.nodes.retain(|n| n.name != gone.1);
        let t = std::time::Instant::now();
        let o3 = place(&dead);
        println!(
            "  {} dies ({} on it) {:?} moves {} bound {} missing {} {:?} proven {:?}",
            gone.1,
            gone.0,
            t.elapsed(),
            o3.moves,
            o3.moves_bound,
            o3.missing(),
            o3.status,
            o3.levels
                .iter()
                .map(|l| (l.placed, l.bound))
                .collect::<Vec<_>>()
        );
        assert_eq!(verify(&dead, &o3), []);
    }
}

#[test]
#[ignore]
fn zz_sizes() {
    for n in [3, 4, 5, 6, 8, 10, 12, 16, 20] {
        for pct in [60, 90, 110] {
            let mut p = super::large::fleet(n, pct);
            p.limits.suggestions = 0;
            let pairs = super::field::Field::new(&p).pairs();
            let t = std::time::Instant::now();
            let o = place(&p);
            println!(
                "{n} nodes {pct}% pairs {pairs} services {} {:?} {:?} missing {} proven {:?} gap {:.4} ilps {} {}",
                p.services.len(),
                t.elapsed(),
                o.status,
                o.missing(),
                o.levels
                    .iter()
                    .map(|l| l.bound - l.placed)
                    .collect::<Vec<_>>(),
                o.gap(),
                o.ilps,
                o.solver
            );
            assert_eq!(
                verify(&p, &o)
                    .iter()
                    .filter(|b| b.constraint != "total")
                    .count(),
                0
            );
        }
    }
}
