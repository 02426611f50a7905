/** What docs/nginx.md documents, with the real nginx. */
import { testFrontEnds } from './support/suite.ts';

testFrontEnds('docs/nginx.md');
