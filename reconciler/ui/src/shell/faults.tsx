/** What stands where a page should be: an address that leads nowhere, or a fault of the page itself. */
import { Link } from '@tanstack/react-router';
import { PageFrame } from '../look/page';
import { ProblemView } from '../look/problem-view';

export function NoPage() {
  return (
    <PageFrame title="No such page">
      <p>
        This address leads nowhere.{' '}
        <Link to="/" className="link">
          To the overview
        </Link>
      </p>
    </PageFrame>
  );
}

export function PageFault({ error, reset }: { error: unknown; reset?: () => void }) {
  return (
    <PageFrame title="This page has a fault">
      <ProblemView error={error} retry={reset ?? (() => window.location.reload())} />
    </PageFrame>
  );
}
