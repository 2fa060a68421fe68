/** What one prefers of the look, kept in this browser; and, read-only, how the control plane runs. */
import { useQuery } from '@tanstack/react-query';
import { aboutQuery } from '../login/data';
import { Answer } from '../look/answer';
import { Facts, PageFrame, Panel } from '../look/page';
import { visible } from '../look/text';
import { statusQuery } from '../overview/data';
import { type Preferences, prefer, usePreferences } from '../shell/preferences';
import { configQuery } from './data';

function Radios<T extends string>({
  name,
  value,
  options,
  onChoose,
}: {
  name: string;
  value: T;
  options: [T, string][];
  onChoose: (value: T) => void;
}) {
  return (
    <fieldset className="mb-3">
      <legend className="label">{name}</legend>
      <div className="flex flex-wrap gap-x-5">
        {options.map(([id, text]) => (
          <label key={id} className="tap inline-flex min-h-6 items-center gap-2">
            <input type="radio" name={name} checked={value === id} onChange={() => onChoose(id)} />
            {text}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function SettingsPage() {
  const preferences: Preferences = usePreferences();
  const about = useQuery(aboutQuery);
  const status = useQuery(statusQuery);
  const config = useQuery(configQuery);
  const source = status.data?.source;
  return (
    <PageFrame title="Settings">
      <div className="grid gap-x-3 lg:grid-cols-2">
        <Panel title="In this browser">
          <Radios
            name="Theme"
            value={preferences.theme}
            options={[
              ['system', 'as the system'],
              ['light', 'light'],
              ['dark', 'dark'],
            ]}
            onChoose={(theme) => prefer({ theme })}
          />
          <Radios
            name="Rows"
            value={preferences.density}
            options={[
              ['dense', 'dense'],
              ['comfortable', 'comfortable'],
            ]}
            onChoose={(density) => prefer({ density })}
          />
          <label className="tap inline-flex items-center gap-2">
            <input
              type="checkbox"
              checked={preferences.keys}
              onChange={(event) => prefer({ keys: event.target.checked })}
            />
            Single keys (g n, j, k, /, ?)
          </label>
        </Panel>
        <Panel title="The control plane">
          <Facts
            items={[
              ['version', about.data ? visible(about.data.version) : 'not told'],
              ['cluster', visible(status.data?.cluster ?? 'none yet')],
              [
                'source',
                source ? (
                  <span key="source" className="code">
                    {visible(source.location)}
                  </span>
                ) : (
                  'none'
                ),
              ],
              ['branch', source ? visible(source.branch) : 'none'],
            ]}
          />
        </Panel>
      </div>
      <Panel title="How it was started" flush>
        <div className="p-3">
          <Answer query={config}>
            {(answer) => (
              <Facts
                items={answer.settings.map((row) => [
                  row.name,
                  <span key={row.name}>
                    <span className="code">{visible(row.value ?? 'not set')}</span>{' '}
                    <span className="text-muted">{visible(row.source)}</span>
                  </span>,
                ])}
              />
            )}
          </Answer>
        </div>
      </Panel>
    </PageFrame>
  );
}
