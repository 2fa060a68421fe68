/** The filter field of a list. Knows that `/` leads to it and that it lives in the address. */
import { useAddressSetter } from './address';

export function Filter({
  value,
  label,
  shown,
  of,
}: {
  value: string;
  label: string;
  shown?: number;
  of?: number;
}) {
  const set = useAddressSetter();
  return (
    <div className="flex flex-1 basis-full items-center gap-2 sm:basis-auto">
      <input
        type="search"
        className="field sm:max-w-72"
        data-filter
        aria-label={label}
        placeholder={`${label}  ( / )`}
        value={value}
        onChange={(event) => set({ q: event.target.value || undefined })}
      />
      {shown !== undefined && of !== undefined && shown !== of ? (
        <span className="whitespace-nowrap text-muted" role="status">
          {shown.toLocaleString('en')} of {of.toLocaleString('en')}
        </span>
      ) : null}
    </div>
  );
}

export function Choice({
  label,
  value,
  options,
  onChoose,
}: {
  label: string;
  value: string;
  options: [string, string][];
  onChoose: (value: string) => void;
}) {
  return (
    <label className="flex items-center gap-1.5 text-muted">
      <span className="whitespace-nowrap text-xs">{label}</span>
      <select
        className="field w-auto"
        value={value}
        onChange={(event) => onChoose(event.target.value)}
      >
        {options.map(([id, name]) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

export function matches(words: string, texts: (string | null | undefined)[]): boolean {
  if (words === '') return true;
  const all = texts.join(' ').toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}
