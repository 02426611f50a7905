/** What docs/apache.md documents, with the real Apache. */
import { testFrontEnds } from './support/suite.ts';

testFrontEnds('docs/apache.md');
