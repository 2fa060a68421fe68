/** A text as a QR code, drawn as one path. */
import { useMemo } from 'react';
import { encode } from 'uqr';

export function QrCode({ text, label }: { text: string; label: string }) {
  const { path, size } = useMemo(() => {
    const code = encode(text, { ecc: 'M', border: 3 });
    const parts: string[] = [];
    code.data.forEach((row, y) => {
      row.forEach((dark, x) => {
        if (dark) parts.push(`M${x} ${y}h1v1h-1z`);
      });
    });
    return { path: parts.join(''), size: code.size };
  }, [text]);
  // Always dark on light: not every reader takes the reverse.
  return (
    <svg
      viewBox={`0 0 ${size} ${size}`}
      className="w-64 max-w-full rounded-md"
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
      data-qr
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
