/**
 * How answers are kept: nothing is asked twice but when the stream says that it changed. Knows the
 * rules that all pages share. Refuses to know a route.
 */
import { QueryClient } from '@tanstack/react-query';
import { asApiError } from './problem';

export function newQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 5 * 60_000,
        // The stream comes back and everything is read again then; a second clock would only ask more.
        retry: false,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        networkMode: 'always',
        throwOnError: false,
      },
      mutations: {
        retry: false,
        networkMode: 'always',
        onError: (error) => void asApiError(error),
      },
    },
  });
}
