"""OR-Tools CP-SAT on an instance that `placement --dump` wrote: counts of each service on each node,
one solve for each priority, highest first, as the planner does it. Prints one JSON object.

usage: cp_sat.py FILE SECONDS WORKERS
"""
import json
import resource
import sys
import time

from ortools.sat.python import cp_model


def build(problem):
    """The model, and for each service its count on each node where it may be."""
    model = cp_model.CpModel()
    nodes = {node["name"]: node for node in problem["nodes"]}
    count, there = {}, {}
    here = {name: [] for name in nodes}
    for service in problem["services"]:
        for name in service["nodes"]:
            most = fitting(service, nodes[name])
            if most > 0:
                count[service["name"], name] = model.new_int_var(0, most, "")
                here[name].append(service)
        own = [count[service["name"], n] for n in service["nodes"] if (service["name"], n) in count]
        model.add(sum(own) <= service["replicas"])
    for name, node in nodes.items():
        on = [(s, count[s["name"], name]) for s in here[name]]
        for what in ("cpu", "memory", "disk"):
            # Bytes are counted in MiB, as every size of these instances is a multiple of one.
            unit = 1 if what == "cpu" else 1 << 20
            model.add(sum(-(-s[what] // unit) * y for s, y in on) <= node[what] // unit)
        ports = {}
        for s, y in on:
            for port in s["ports"]:
                ports.setdefault(port, []).append(y)
        for ys in ports.values():
            model.add(sum(ys) <= 1)
        devices(model, node, on)

    def present(service, name):
        key = (service, name)
        if key not in there:
            there[key] = model.new_bool_var("")
            model.add(count[key] > 0).only_enforce_if(there[key])
            model.add(count[key] == 0).only_enforce_if(~there[key])
        return there[key]

    for service in problem["services"]:
        own = [n for n in service["nodes"] if (service["name"], n) in count]
        for name in own:
            for other in service["apart"]:
                if other != service["name"] and (other, name) in count:
                    model.add(present(service["name"], name) + present(other, name) <= 1)
            for other in service["near"]:
                y = count[service["name"], name]
                if (other, name) in count:
                    model.add(y <= service["replicas"] * count[other, name])
                else:
                    model.add(y == 0)
        for line in service["spread"]:
            domains = {}
            for name in own:
                key = name if line["by"] == "Node" else nodes[name]["zone"]
                domains.setdefault(key, []).append(count[service["name"], name])
            if domains:
                low = model.new_int_var(0, service["replicas"], "")
                for ys in domains.values():
                    model.add(sum(ys) >= low)
                    model.add(sum(ys) <= low + line["skew"])
    return model, count


def fitting(service, node):
    """Instances that fit on the node when nothing else is there."""
    most = service["replicas"] if service["most"] is None else min(service["replicas"], service["most"])
    for what in ("cpu", "memory", "disk"):
        if service[what]:
            most = min(most, node[what] // service[what])
    if service["ports"]:
        most = min(most, 1)
    if service["whole"]:
        most = min(most, len(node["gpus"]) // service["whole"])
    if service["share"]:
        most = min(most, len(node["gpus"]) * (1000 // service["share"]))
    if service["slice"]:
        most = min(most, sum(gpu // service["slice"] for gpu in node["gpus"]))
    return most


def devices(model, node, on):
    """Devices in shared use, and cuts for shares of which only so many fit on one device."""
    using = [(s, y) for s, y in on if s["whole"] or s["share"] or s["slice"]]
    if not using:
        return
    shared = model.new_int_var(0, len(node["gpus"]), "")
    model.add(sum(s["whole"] * y for s, y in using) + shared <= len(node["gpus"]))
    memory = max(node["gpus"])
    load = lambda s: s["share"] if s["share"] else -(-s["slice"] * 1000 // memory)
    sharing = [(s, y) for s, y in using if not s["whole"]]
    model.add(sum(load(s) * y for s, y in sharing) <= 1000 * shared)
    for q in (1, 2, 3):
        model.add(sum((-(-(q + 1) * load(s) // 1000) - 1) * y for s, y in sharing) <= q * shared)


def main():
    path, seconds, workers = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    with open(path) as file:
        problem = json.load(file)
    begin = time.time()
    model, count = build(problem)
    levels, proven = [], True
    priorities = sorted({s["priority"] for s in problem["services"]}, reverse=True)
    for priority in priorities:
        names = {s["name"] for s in problem["services"] if s["priority"] == priority}
        placed = sum(y for (service, _), y in count.items() if service in names)
        model.maximize(placed)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = workers
        solver.parameters.max_time_in_seconds = max(0.1, seconds - (time.time() - begin))
        status = solver.solve(model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            proven = False
            break
        found = round(solver.objective_value)
        bound = int(solver.best_objective_bound + 1e-6)
        levels.append({"priority": priority, "placed": found, "bound": bound})
        proven &= status == cp_model.OPTIMAL
        model.clear_objective()
        model.add(placed >= found)
        model.clear_hints()
        for y in count.values():
            model.add_hint(y, solver.value(y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({
        "method": f"CP-SAT, {workers} worker(s)",
        "seconds": time.time() - begin,
        "levels": levels,
        "proven": proven and len(levels) == len(priorities),
        "peak_mib": peak,
    }))


main()
