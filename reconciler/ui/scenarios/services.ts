/** Cluster files of the scenarios. Each service is a process that any machine with Python can run. */

const SERVER = `
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"well\\n")
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass
print("listening", flush=True)
Server((os.environ["BIND"], int(os.environ["PORT"])), Answer).serve_forever()
`;

export interface Service {
  name: string;
  port: number;
  replicas?: number;
  more?: string;
}

export function service({ name, port, replicas = 1, more = '' }: Service): string {
  return `service "${name}" {
    process "python3" "-u" "serve.py"
    file "serve.py" source="serve.py"
    port ${port}
    env PORT="${port}" BIND="{{ node.ip }}"
    replicas ${replicas}
    resources cpu=0.01 memory="16MiB"
    health http="/" port=${port} interval="500ms" retries=5 start-period="20s"
${more}}
`;
}

export function cluster(...blocks: string[]): Record<string, string> {
  const head = 'cluster "lab" {\n    sync auto=#true prune=#true self-heal=#true\n}\n';
  return { 'cluster.kdl': `${head}\n${blocks.join('\n')}`, 'serve.py': SERVER };
}
