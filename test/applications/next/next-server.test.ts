import { NEXT_SERVER } from '../support/catalogue.ts';
import { testApplication } from '../support/suite.ts';

testApplication(NEXT_SERVER);
