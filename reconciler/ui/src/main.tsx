/** Where the app begins: the look, the queries, the routes. */
import './look/look.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { newQueries } from './api/queries';
import { applyPreferences } from './shell/preferences';
import { newRouter } from './shell/routes';

applyPreferences();
const queries = newQueries();
const router = newRouter(queries);
const place = document.getElementById('app');
if (place) {
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
